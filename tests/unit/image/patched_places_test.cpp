// SPDX-License-Identifier: Apache-2.0
// Tables of code that a kernel rewrites or looks up while it runs, and the slots of relocations in code; built after the
// structures in the kernel's headers and the psABIs.
#include <algorithm>
#include <catch2/catch.hpp>

#include "image/relocation_types.h"
#include "kallsyms_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

namespace {

constexpr std::uint64_t kText = 0xffffffff81000000, kTable = kText + 0x20000;
constexpr std::uint64_t kText32 = 0xc1000000, kTable32 = kText32 + 0x20000;

Image open_one(Buffer file) {
    auto opened = open_all(std::move(file));
    REQUIRE(opened.status);
    return std::move(opened.images.at(0));
}

std::vector<std::uint64_t> places(const Image& image, TableKind kind) {
    std::vector<std::uint64_t> out;
    for (const TableEntry& entry : image.tables)
        if (entry.kind == kind) out.push_back(entry.code.begin.value);
    return out;
}

void write(Buffer& out, std::size_t at, const Buffer& bytes) { std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(at)); }

ElfBuilder kernel(Buffer text, const std::string& table, Buffer bytes) {
    ElfBuilder elf;
    elf.add({".text", 1, 6, kText, std::move(text)});
    elf.add({table, 1, 2, kTable, std::move(bytes)});
    return elf;
}

}  // namespace

TEST_CASE("bugs have relative or absolute addresses, with or without file names") {
    const int size = GENERATE(8, 12);
    const bool relative = GENERATE(true, false);
    Buffer text(0x400, 0x90), table;
    const std::uint64_t base = relative ? kText : kText32, at = relative ? kTable : kTable32;
    for (std::uint64_t i = 0; i < 10; ++i) {
        write(text, 16 * i, {0x0F, 0x0B});
        put(table, relative ? base + 16 * i - (at + table.size()) : base + 16 * i, 4);
        put(table, 0x12345678, size - 4);
    }
    ElfBuilder elf;
    elf.is_64 = relative;
    elf.machine = relative ? 62 : 3;
    elf.add({".text", 1, 6, base, text});
    elf.add({"__bug_table", 1, 3, at, table});
    const Image image = open_one(elf.build());
    const auto bugs = places(image, TableKind::bug);
    REQUIRE(bugs.size() == 10);
    CHECK(bugs[3] == base + 48);
    // That a function has a BUG is no proof that it is executed. (Absolute words are met again as plain data.)
    CHECK(std::none_of(image.pointers.begin(), image.pointers.end(), [](const CodePointer& p) { return p.origin == CodePointer::Origin::table; }));
}

TEST_CASE("an entry of a bug table that names no trapping instruction is left out") {
    Buffer text(0x1000, 0x90), table;
    for (std::uint64_t i = 0; i < 40; ++i) {
        if (i != 7) write(text, 16 * i, {0x0F, 0x0B});
        put(table, kText + 16 * i - (kTable + table.size()), 4);
        put(table, 0, 8);
    }
    CHECK(places(open_one(kernel(text, "__bug_table", table).build()), TableKind::bug).size() == 39);
}

TEST_CASE("traced functions come from their section, and zeros in it are nothing") {
    Buffer table;
    for (const std::uint64_t address : {std::uint64_t{0}, kText + 4, kText + 0x24}) put(table, address, 8);
    const Image image = open_one(kernel(Buffer(0x100, 0x90), "__mcount_loc", table).build());
    CHECK(places(image, TableKind::function_trace) == std::vector<std::uint64_t>{kText + 4, kText + 0x24});
    CHECK(image.pointers.empty());
}

TEST_CASE("traced functions and interrupt gates without a name are found by their shape") {
    ElfBuilder elf;
    elf.is_64 = false;
    elf.machine = 3;
    Buffer text(16 * 700, 0x90);
    for (std::uint64_t i = 0; i < 90; ++i) {
        write(text, 32 * i, {0xE8});  // call to the same function: the list's calls are all to __fentry__
        poke(text, 32 * i + 1, 0x2000 - (32 * i + 5), 4);
    }
    write(text, 32 * 80, {0xE8, 0, 0, 0, 0});  // one more call, to another
    elf.add({".text", 1, 6, kText32, text});
    Buffer names = write_kallsyms(many_symbols(kText32), kText32, [] { auto layout = KallsymsLayout{}; layout.word = 4; return layout; }());
    elf.add({".rodata", 1, 2, kTable32, names});
    Buffer init;
    put(init, kText32 + 32 * 80, 4);                                             // a list of functions, not this one
    for (std::uint64_t i = 0; i < 80; ++i) put(init, kText32 + 32 * i, 4);
    put(init, kText32, 4);                                                       // not ascending: another list
    const auto gate = [&](std::uint32_t vector, std::uint32_t selector, std::uint16_t bits, std::uint64_t handler) {
        put(init, vector, 4);
        put(init, selector, 4);
        put(init, bits, 4);
        put(init, handler, 4);
    };
    gate(0x80, 0x60, 0xEE00, kText32 + 0x501);  // a gate that user code may call
    gate(14, 0x60, 0x8E00, kText32 + 0x511);
    gate(14, 0x60, 0x0E00, kText32 + 0x521);    // not present
    gate(8, 0xF8, 0x8500, kText32 + 0x531);     // a task gate
    gate(256, 0x60, 0x8E00, kText32 + 0x541);   // no vector
    elf.add({".init.data", 1, 3, kTable32 + 0x100000, init});
    const Image image = open_one(elf.build());
    REQUIRE(image.symbol_source == SymbolSource::kallsyms);
    const auto traced = places(image, TableKind::function_trace);
    REQUIRE(traced.size() == 80);
    CHECK(traced.front() == kText32);
    CHECK(traced.back() == kText32 + 32 * 79);
    CHECK(places(image, TableKind::interrupt_gate) == std::vector<std::uint64_t>{kText32 + 0x501, kText32 + 0x511});
}

TEST_CASE("a static call's trampoline is what its symbol names, 8 bytes or what is left of the section") {
    ElfBuilder elf = tiny_program();
    elf.parts[0].bytes = Buffer(20, 0x90);
    elf.parts.resize(2);
    elf.add_symbols({{"__SCT__might_resched", 0x401000, 1, 2, 8}, {"__SCT__last", 0x401010, 1, 2, 8}, {"SCT", 0x401009, 1, 2, 8}});
    const Image image = open_one(elf.build());
    REQUIRE(image.tables.size() == 2);
    CHECK(image.tables[0].kind == TableKind::static_call_trampoline);
    CHECK(image.tables[0].code == AddressRange{{0x401000}, {0x401008}});
    CHECK(image.tables[1].code == AddressRange{{0x401010}, {0x401014}});
}

TEST_CASE("a module's traced functions and bugs are where its relocations say") {
    ElfBuilder elf;
    elf.type = 1;
    Buffer code(32, 0x90);
    write(code, 9, {0x0F, 0x0B});
    const auto text = elf.add({".text", 1, 6, 0, code});
    const auto trace = elf.add({"__mcount_loc", 1, 2, 0, Buffer(8, 0)});
    const auto bugs = elf.add({"__bug_table", 1, 3, 0, Buffer(12, 0)});
    const auto symbols = elf.add_symbols({{"", 0, static_cast<std::uint16_t>(text), 3, 0}});
    const auto relocation = [&](std::uint32_t section, std::uint32_t type, std::uint64_t addend) {
        Buffer entry;
        put(entry, 0, 8);
        put(entry, std::uint64_t{1} << 32 | type, 8);
        put(entry, addend, 8);
        elf.add({".rela", 4, 0x40, 0, entry, symbols, section, 24});
    };
    relocation(trace, 1, 4);  // R_X86_64_64
    relocation(bugs, 2, 9);   // R_X86_64_PC32
    const Image image = open_one(elf.build());
    CHECK(places(image, TableKind::function_trace) == std::vector<std::uint64_t>{4});
    CHECK(places(image, TableKind::bug) == std::vector<std::uint64_t>{9});
    CHECK(image.slots.empty());  // none in code
}

TEST_CASE("relocations in code are slots, defined or not, sorted and with the place of their entry") {
    ElfBuilder elf;
    elf.type = 1;
    const auto text = elf.add({".text", 1, 6, 0, Buffer(32, 0x90)});
    const auto symbols = elf.add_symbols({{"here", 7, static_cast<std::uint16_t>(text), 2, 1}, {"elsewhere", 0, 0, 0, 0}, {"fixed", 0, 0xFFF1, 0, 0}});
    Buffer entries;
    const auto relocation = [&](std::uint64_t offset, std::uint32_t symbol, std::uint32_t type, std::int64_t addend) {
        put(entries, offset, 8);
        put(entries, std::uint64_t{symbol} << 32 | type, 8);
        put(entries, static_cast<std::uint64_t>(addend), 8);
    };
    relocation(20, 2, 4, -4);    // R_X86_64_PLT32 elsewhere-4
    relocation(1, 1, 11, 3);     // R_X86_64_32S here+3
    relocation(8, 1, 1, 0);      // R_X86_64_64
    relocation(26, 3, 2, -0x10004);  // R_X86_64_PC32 of an absolute symbol, SHN_ABS
    relocation(30, 1, 0, 0);     // R_X86_64_NONE writes nothing
    relocation(0x1000, 1, 1, 0); // outside
    elf.add({".rela.text", 4, 0x40, 0, entries, symbols, text, 24});
    const Buffer file = elf.build();
    const Image image = open_one(file);
    REQUIRE(image.slots.size() == 4);
    CHECK(image.slots[0].address == VirtAddr{1});
    CHECK(image.slots[0].size == 4);
    CHECK_FALSE(image.slots[0].pc_relative);
    CHECK(image.slots[0].type == 11);
    CHECK(image.slots[0].symbol == 1);
    CHECK(image.slots[0].addend == 3);
    CHECK(image.slots[0].target == VirtAddr{10});
    CHECK(image.slots[0].target_section == 0);
    CHECK(image.slots[1].size == 8);
    CHECK(image.slots[2].pc_relative);
    CHECK_FALSE(image.slots[2].target);
    CHECK_FALSE(image.slots[2].fixed_target);
    CHECK_FALSE(image.slots[3].target);
    CHECK(image.slots[3].fixed_target == std::uint64_t{0xFFFFFFFFFFFEFFFC});
    // The entry of the slot at 1 is the second one of the section.
    const auto found = std::search(file.begin(), file.end(), entries.begin(), entries.end());
    CHECK(image.slots[0].file_offset == static_cast<std::uint64_t>(found - file.begin()) + 24);
}

TEST_CASE("the table behind a kernel gives the slots in code, per-CPU ones as relative") {
    ElfBuilder elf;
    Buffer text(0x100, 0x90);
    poke(text, 0x10, kText + 5, 8);
    poke(text, 0x20, kText + 6, 4);
    elf.add({".text", 1, 6, kText, text});
    elf.add({".data", 1, 3, kTable, Buffer(0x10, 0)});
    Buffer file = elf.build();
    const std::uint64_t end = file.size();
    // As read backwards by misc.c: 32-bit slots to a zero, inverse ones to a zero, 64-bit ones to a zero.
    for (const std::uint64_t word : {std::uint64_t{0}, kText + 0x10, kTable, std::uint64_t{0}, kText + 0x30, std::uint64_t{0}, kText + 0x20})
        put(file, static_cast<std::uint32_t>(word), 4);
    const Image image = open_one(file);
    REQUIRE(image.slots.size() == 3);
    CHECK(image.slots[0].address == VirtAddr{kText + 0x10});
    CHECK(image.slots[0].size == 8);
    CHECK(image.slots[0].file_offset == end + 4);
    CHECK(image.slots[1].address == VirtAddr{kText + 0x20});
    CHECK(image.slots[1].size == 4);
    CHECK_FALSE(image.slots[1].pc_relative);
    CHECK(image.slots[1].file_offset == end + 24);
    CHECK(image.slots[2].address == VirtAddr{kText + 0x30});
    CHECK(image.slots[2].pc_relative);
}

TEST_CASE("fields of relocation types, by the psABIs") {
    struct Row { std::uint32_t type; bool x86_64; std::uint8_t size; bool pc_relative; };
    const Row row = GENERATE(Row{0, true, 0, false}, Row{1, true, 8, false}, Row{2, true, 4, true}, Row{4, true, 4, true}, Row{9, true, 4, true},
                             Row{10, true, 4, false}, Row{11, true, 4, false}, Row{12, true, 2, false}, Row{13, true, 2, true}, Row{14, true, 1, false},
                             Row{15, true, 1, true}, Row{24, true, 8, true}, Row{36, true, 16, false}, Row{37, true, 8, false}, Row{42, true, 4, true},
                             Row{0, false, 0, false}, Row{1, false, 4, false}, Row{2, false, 4, true}, Row{4, false, 4, true}, Row{8, false, 4, false},
                             Row{10, false, 4, true}, Row{20, false, 2, false}, Row{21, false, 2, true}, Row{22, false, 1, false},
                             Row{23, false, 1, true}, Row{42, false, 4, false}, Row{43, false, 4, false});
    const auto field = relocation_field(row.type, row.x86_64);
    REQUIRE(field);
    CHECK(field->size == row.size);
    CHECK(field->pc_relative == row.pc_relative);
}

TEST_CASE("relocation types that no psABI defines are said to be unknown") {
    CHECK_FALSE(relocation_field(39, true));
    CHECK_FALSE(relocation_field(12, false));
    CHECK_FALSE(relocation_field(0xFFFFFFFF, true));
}
