// SPDX-License-Identifier: Apache-2.0
// Line tables put together by hand after DWARF 4 and 5, section 6.2, and what is made of them when they lie.
#include <catch2/catch.hpp>

#include <random>

#include "elf_builder.h"
#include "image/source_lines.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;

namespace {

void put_text(Buffer& out, const std::string& text) {
    out.insert(out.end(), text.begin(), text.end());
    out.push_back(0);
}
void append(Buffer& out, const Buffer& more) { out.insert(out.end(), more.begin(), more.end()); }

// A unit: the length of what follows, then that.
Buffer unit(const Buffer& contents) {
    Buffer out;
    put(out, contents.size(), 4);
    append(out, contents);
    return out;
}

// line_base -5, line_range 14, opcode_base 13, as GNU as has them; operand counts of DWARF 3 and later.
const Buffer kFields{0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};

// Lines 10 (2 bytes, file 1), 0 (1 byte), 300 (4 bytes, file 2) from 0x401000 on.
Buffer program(int address_bytes = 8, std::uint64_t address = 0x401000) {
    Buffer out{0, static_cast<std::uint8_t>(1 + address_bytes), 2};      // DW_LNE_set_address
    put(out, address, address_bytes);
    append(out, {3, 9, 1});                          // DW_LNS_advance_line 9; DW_LNS_copy: 0x401000 line 10
    append(out, {2, 2, 3, 0x76, 1});                 // DW_LNS_advance_pc 2; advance_line -10; copy: +2 line 0
    append(out, {4, 2, 3, 0xAC, 0x02, 0x20});        // DW_LNS_set_file 2; advance_line 300; special 0x20: +1, line +0
    append(out, {9, 4, 0, 0, 1, 1});                 // DW_LNS_fixed_advance_pc 4; DW_LNE_end_sequence
    return out;
}

Buffer table_4(const Buffer& the_program = program()) {
    Buffer header{1, 1, 1};                          // min_insn_length, max_operations, default_is_stmt
    append(header, kFields);
    put_text(header, "kernel");
    put_text(header, "/usr/include");
    header.push_back(0);
    put_text(header, "one.c");
    append(header, {1, 0, 0});                       // directory 1, no time, no length
    put_text(header, "two.h");
    append(header, {2, 0, 0});
    header.push_back(0);
    Buffer contents;
    put(contents, 4, 2);
    put(contents, header.size(), 4);
    append(contents, header);
    append(contents, the_program);
    return unit(contents);
}

// `directories` and `files` are given with their formats and counts. File 1 of DWARF 5 is the second.
Buffer table_5(const Buffer& directories, const Buffer& files) {
    Buffer header{1, 1, 1};
    append(header, kFields);
    append(header, directories);
    append(header, files);
    Buffer contents;
    put(contents, 5, 2);
    append(contents, {8, 0});                        // address_size, segment_selector_size
    put(contents, header.size(), 4);
    append(contents, header);
    append(contents, program());
    return unit(contents);
}

// Directories by DW_FORM_line_strp; files by DW_FORM_string with DW_FORM_udata for the directory and an MD5 sum.
Buffer sound_table_5() {
    Buffer directories{1, 1, 0x1F, 2};
    put(directories, 0, 4);
    put(directories, 6, 4);
    Buffer files{3, 1, 0x08, 2, 0x0F, 5, 0x1E, 3};
    for (const auto& [name, directory] : {std::pair{"zero.c", 0}, {"one.c", 0}, {"two.h", 1}}) {
        put_text(files, name);
        put(files, static_cast<std::uint64_t>(directory), 1);
        files.resize(files.size() + 16);
    }
    return table_5(directories, files);
}
const Buffer kLineStrings{'/', 'w', 'o', 'r', 'k', 0, 'i', 'n', 'c', 0};

ElfBuilder program_with(const Buffer& line, const Buffer& line_str = kLineStrings) {
    ElfBuilder elf;
    elf.entry = 0x401000;
    elf.add({".text", 1, 6, 0x401000, Buffer(16, 0x90)});
    elf.add({".debug_line", 1, 0, 0, line});
    elf.add({".debug_line_str", 1, 0, 0, line_str});
    return elf;
}

// A unit of version 4: DW_AT_stmt_list 0 and DW_AT_comp_dir "/work", by an abbreviation that is not the first.
void add_unit(ElfBuilder& elf) {
    elf.add({".debug_abbrev", 1, 0, 0, {1, 0x34, 0, 0x03, 0x08, 0, 0,                        // 1: DW_TAG_variable
                                        2, 0x11, 0, 0x13, 0x0B, 0x10, 0x17, 0x1B, 0x0E, 0, 0,  // 2: DW_TAG_compile_unit
                                        0}});
    elf.add({".debug_str", 1, 0, 0, {'x', 0, '/', 'w', 'o', 'r', 'k', 0}});
    Buffer contents;
    put(contents, 4, 2);
    put(contents, 0, 4);
    append(contents, {8, 2, 12});                    // address_size; abbreviation 2; DW_AT_language C99
    put(contents, 0, 4);
    put(contents, 2, 4);
    elf.add({".debug_info", 1, 0, 0, unit(contents)});
}

SourceLines ask(const ElfBuilder& elf, const std::vector<std::uint64_t>& addresses, SectionIndex section = 0) {
    const Opened opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    std::vector<SourcePlace> places;
    for (std::uint64_t address : addresses) places.push_back({section, {address}});
    SourceLines found = find_source_lines(opened.images[0], places);
    REQUIRE(found.lines.size() == addresses.size());
    REQUIRE(found.notes.size() <= 1);
    return found;
}

std::string text_of(const SourceLine& line) { return line.file.empty() ? "" : line.file + ":" + std::to_string(line.line); }

const std::vector<std::uint64_t> kPlaces{0x401007, 0x401006, 0x401003, 0x401002, 0x401001, 0x401000, 0x400FFF};
void check_lines(const SourceLines& found, const std::string& one, const std::string& two) {
    const std::vector<std::string> expected{"", two + ":300", two + ":300", "", one + ":10", one + ":10", ""};
    for (std::size_t i = 0; i < kPlaces.size(); ++i) CHECK(text_of(found.lines[i]) == expected[i]);
}

// What holds of any answer.
void check_sane(const SourceLines& found) {
    for (const SourceLine& line : found.lines) CHECK(line.file.empty() == (line.line == 0));
}

}  // namespace

TEST_CASE("DWARF 4: rows cover the bytes up to the next, line 0 is none, names are joined") {
    ElfBuilder elf = program_with(table_4());
    SECTION("without a unit relative names stay relative") {
        const SourceLines found = ask(elf, kPlaces);
        check_lines(found, "kernel/one.c", "/usr/include/two.h");
        CHECK(found.notes.empty());
    }
    SECTION("with a unit they are joined to its directory") {
        add_unit(elf);
        check_lines(ask(elf, kPlaces), "/work/kernel/one.c", "/usr/include/two.h");
    }
}

TEST_CASE("DWARF 5: files count from 0, directory 0 is the compilation's") {
    const SourceLines found = ask(program_with(sound_table_5()), kPlaces);
    check_lines(found, "/work/one.c", "/work/inc/two.h");
    CHECK(found.notes.empty());
}

TEST_CASE("of two tables the first answers, and one behind a broken one still does") {
    Buffer line{6, 0, 0, 0, 77, 0, 1, 2, 3, 4};      // a unit of version 77
    append(line, table_4());
    append(line, sound_table_5());
    const SourceLines found = ask(program_with(line), kPlaces);
    check_lines(found, "kernel/one.c", "/usr/include/two.h");
    REQUIRE(found.notes.size() == 1);
    CHECK(found.notes[0].find("1 problem(s) in 3 line tables") != std::string::npos);
    CHECK(found.notes[0].find("version 77") != std::string::npos);
}

TEST_CASE("in a relocatable file a row belongs to the section that its relocation names") {
    ElfBuilder elf;
    elf.type = 1;
    const auto first = elf.add({".text", 1, 6, 0, Buffer(16, 0x90)});
    const auto second = elf.add({".init.text", 1, 6, 0, Buffer(16, 0x90)});
    const Buffer line = table_4(program(8, 0));
    const auto table = elf.add({".debug_line", 1, 0, 0, line});
    const auto symbols = elf.add_symbols({{"", 0, static_cast<std::uint16_t>(first), 3, 0},
                                          {"here", 3, static_cast<std::uint16_t>(second), 2, 1}});
    const std::size_t field = line.size() - program().size() + 3;
    Buffer relocation;
    put(relocation, field, 8);
    put(relocation, std::uint64_t{2} << 32 | 1, 8);  // R_X86_64_64 of `here`
    put(relocation, 1, 8);                           // + 1
    elf.add({".rela.debug_line", 4, 0x40, 0, relocation, symbols, table, 24});
    // The first row stands at .init.text + 3 + 1.
    const SourceLines found = ask(elf, {3, 4, 5, 6, 7, 10, 11}, 1);
    const std::vector<std::string> expected{"", "kernel/one.c:10", "kernel/one.c:10", "", "/usr/include/two.h:300", "/usr/include/two.h:300", ""};
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(text_of(found.lines[i]) == expected[i]);
    CHECK(text_of(ask(elf, {4}, 0).lines[0]).empty());

    SECTION("a relocation section of a wrong entry size is a note; LLVM's reader ends the process") {
        elf.parts.back().entry_size = 7;
        const SourceLines none = ask(elf, {4}, 1);
        CHECK(text_of(none.lines[0]).empty());
        REQUIRE(none.notes.size() == 1);
        CHECK(none.notes[0].find("sh_entsize") != std::string::npos);
    }
    SECTION("so is one that links to no symbol table") {
        elf.parts.back().link = 0;
        CHECK(ask(elf, {4}, 1).notes.size() == 1);
    }
    SECTION("a relocation without a symbol, or outside the section, moves nothing") {
        poke(elf.parts.back().bytes, 12, 0x7FFFFFFF, 4);
        CHECK(text_of(ask(elf, {4}, 1).lines[0]).empty());
        poke(elf.parts.back().bytes, 0, ~std::uint64_t{0}, 8);
        CHECK(text_of(ask(elf, {4}, 1).lines[0]).empty());
    }
}

TEST_CASE("entries without bytes do not make a count believable; LLVM's reader runs out of memory") {
    const Buffer huge{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F};
    for (const std::uint8_t form : {0x19, 0x21}) {   // DW_FORM_flag_present, DW_FORM_implicit_const
        Buffer files{1, 1, form};
        append(files, huge);
        const SourceLines found = ask(program_with(table_5({1, 1, form, 0}, files)), kPlaces);
        REQUIRE(found.notes.size() == 1);
        CHECK(found.notes[0].find("562949953421311 files") != std::string::npos);
    }
}

TEST_CASE("a compressed section that announces what it cannot hold is refused") {
    for (const std::uint64_t size : {std::uint64_t{1} << 44, std::uint64_t{1} << 29}) {
        for (const std::uint32_t type : {1u, 2u, 9u}) {  // zlib, Zstandard, neither
            Buffer packed;
            put(packed, type, 8);
            put(packed, size, 8);
            put(packed, 1, 8);
            append(packed, {0x78, 0x9C, 0x03, 0x00});
            ElfBuilder elf = program_with(packed);
            elf.parts[1].flags = 0x800;
            const SourceLines found = ask(elf, kPlaces);
            check_sane(found);
            CHECK(found.notes.size() == 1);
        }
    }
}

TEST_CASE("a table truncated at any byte gives right lines or none, and at most one note") {
    const Buffer whole[] = {table_4(), sound_table_5()};
    for (const Buffer& table : whole) {
        const SourceLines right = ask(program_with(table), kPlaces);
        for (std::size_t size = 0; size < table.size(); ++size) {
            INFO("cut at " << size);
            Buffer cut(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(size));
            CHECK(ask(program_with(cut), kPlaces).notes.size() == (size == 0 ? 0 : 1));
            // The same with a length that fits what is left.
            if (size < 4) continue;
            poke(cut, 0, size - 4, 4);
            const SourceLines found = ask(program_with(cut), kPlaces);
            for (std::size_t i = 0; i < kPlaces.size(); ++i)
                CHECK((text_of(found.lines[i]).empty() || text_of(found.lines[i]) == text_of(right.lines[i])));
        }
    }
}

TEST_CASE("garbage in any debug section gives answers in bounds") {
    std::mt19937 random(20240607);
    ElfBuilder sound = program_with(table_4());
    add_unit(sound);
    ElfBuilder sound_5 = program_with(sound_table_5());
    for (int round = 0; round < 3000; ++round) {
        ElfBuilder elf = round % 2 == 0 ? sound : sound_5;
        Buffer& bytes = elf.parts[1 + random() % (elf.parts.size() - 1)].bytes;
        for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        check_sane(ask(elf, kPlaces));
    }
    for (int round = 0; round < 300; ++round) {
        ElfBuilder elf = sound;
        for (std::size_t part = 1; part < elf.parts.size(); ++part)
            for (std::uint8_t& byte : elf.parts[part].bytes) byte = static_cast<std::uint8_t>(random());
        check_sane(ask(elf, kPlaces));
    }
}

TEST_CASE("sequences that all cover the same code cost no more than their bytes") {
    // 20,000 tables over the same places: each place is answered once and then out of the way.
    Buffer line;
    for (int i = 0; i < 20000; ++i) append(line, table_4());
    const Opened opened = open_all(program_with(line).build());
    REQUIRE(opened.images.size() == 1);
    std::vector<SourcePlace> places;
    for (int i = 0; i < 20000; ++i) places.push_back({0, {0x401000}});
    const SourceLines found = find_source_lines(opened.images[0], places);
    CHECK(std::all_of(found.lines.begin(), found.lines.end(), [](const SourceLine& line_) { return text_of(line_) == "kernel/one.c:10"; }));
}

TEST_CASE("an image without line tables or without a file gives no lines and no note") {
    const Opened opened = open_all(tiny_program().build());
    REQUIRE(opened.images.size() == 1);
    const SourceLines found = find_source_lines(opened.images[0], std::vector<SourcePlace>{{0, {0x401001}}});
    CHECK(text_of(found.lines.at(0)).empty());
    CHECK(found.notes.empty());
    Image bare;
    CHECK(find_source_lines(bare, std::vector<SourcePlace>{{7, {1}}}).lines.size() == 1);
    CHECK(find_source_lines(opened.images[0], {}).lines.empty());
}
