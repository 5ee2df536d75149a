// SPDX-License-Identifier: Apache-2.0
// ELF images: what is read, and what is refused with which words.
#include <catch2/catch.hpp>

#include "elf_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

TEST_CASE("an ELF64 program gives its sections, entry and symbols") {
    const auto opened = open_all(tiny_program().build());
    REQUIRE(opened.status);
    REQUIRE(opened.images.size() == 1);
    const Image& image = opened.images[0];
    CHECK(image.format == Format::elf64);
    CHECK(image.architecture == "x86_64");
    CHECK_FALSE(image.relocatable);
    REQUIRE(image.sections.size() == 2);
    CHECK(image.sections[0].name == ".text");
    CHECK(image.sections[0].address == VirtAddr{0x401000});
    CHECK(image.sections[0].executable);
    CHECK(image.sections[0].width == CodeWidth::bits64);
    CHECK(to_hex(image.sections[0].bytes) == "90fac3");
    CHECK_FALSE(image.sections[1].executable);
    CHECK(image.symbol_source == SymbolSource::symtab);
    const Symbol* symbol = image.find_symbol(0, {0x401002});
    REQUIRE(symbol);
    CHECK(symbol->name == "start");
    CHECK(image.find_section({0x401002}) == SectionIndex{0});
    CHECK_FALSE(image.find_section({0x401003}));
    REQUIRE(image.pointers.size() == 1);
    CHECK(image.pointers[0].origin == CodePointer::Origin::entry);
}

TEST_CASE("ELF32 of i386 is 32-bit code, ELF32 of x86-64 (x32) is 64-bit code") {
    ElfBuilder elf = tiny_program();
    elf.is_64 = false;
    elf.parts.resize(2);
    elf.machine = 3;
    auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    CHECK(opened.images[0].format == Format::elf32);
    CHECK(opened.images[0].architecture == "i386");
    CHECK(opened.images[0].sections[0].width == CodeWidth::bits32);
    elf.machine = 62;
    opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    CHECK(opened.images[0].sections[0].width == CodeWidth::bits64);
}

TEST_CASE("an ELF32 file for i386 around 64-bit code, as Xen's, is 64-bit code and says so") {
    const auto open_filled_with = [](const Buffer& pattern) {
        ElfBuilder elf;
        elf.is_64 = false;
        elf.machine = 3;
        Buffer code;
        while (code.size() < 8192) code.insert(code.end(), pattern.begin(), pattern.end());
        elf.add({".text", 1, 6, 0x200000, code});
        elf.add({".rodata", 1, 2, 0x300000, code});
        return open_all(elf.build());
    };
    Buffer pattern{0x48, 0x89, 0xC3};  // mov rbx, rax
    pattern.resize(64, 0x90);
    const auto xen = open_filled_with(pattern);
    REQUIRE(xen.images.size() == 1);
    CHECK(xen.images[0].sections[0].width == CodeWidth::bits64);
    CHECK(xen.images[0].architecture == "x86_64");
    CHECK(xen.images[0].format == Format::elf32);
    REQUIRE(xen.images[0].notes.size() == 2);
    CHECK_THAT(xen.images[0].notes[0], Contains(".text: reads as 64-bit code"));
    CHECK_THAT(xen.images[0].notes[1], Contains("no symbols"));
    pattern.resize(256, 0x90);  // as rare as DEC before a MOV in 32-bit code, and rarer still in Debian's
    const auto i386 = open_filled_with(pattern);
    REQUIRE(i386.images.size() == 1);
    CHECK(i386.images[0].sections[0].width == CodeWidth::bits32);
    CHECK(i386.images[0].architecture == "i386");
}

TEST_CASE("an ELF file cut at any byte is an error, never a crash") {
    const Buffer whole = tiny_program().build();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto opened = open_all(Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
        INFO("cut at " << size);
        REQUIRE_FALSE(opened.status);
        CHECK(opened.images.empty());
        CHECK(opened.status.error().file == "test");
    }
}

TEST_CASE("an ELF file with any byte changed does not crash") {
    const Buffer whole = tiny_program().build();
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (int value : {0x00, 0x7F, 0x80, 0xFF}) {
            Buffer changed = whole;
            changed[at] = static_cast<std::uint8_t>(value);
            open_all(changed);
        }
}

TEST_CASE("sections past the end, overlapping or wrapping are named in the error") {
    ElfBuilder elf = tiny_program();
    const Buffer good = elf.build();
    const std::size_t table = ByteView(good).get<std::uint32_t>(40).value();  // e_shoff
    SECTION("past the end of the file") {
        Buffer bad = good;
        poke(bad, table + 64 + 32, 0x100000, 8);  // sh_size of section 1
        const auto opened = open_all(bad);
        REQUIRE_FALSE(opened.status);
        CHECK(opened.status.error().code == ErrorCode::truncated);
        CHECK_THAT(opened.status.error().message, Contains("section 1 (.text)") && Contains("past the end of the file"));
    }
    SECTION("an offset that wraps") {
        Buffer bad = good;
        poke(bad, table + 64 + 24, ~std::uint64_t{0}, 8);
        CHECK_FALSE(open_all(bad).status);
    }
    SECTION("overlapping in the file") {
        Buffer bad = good;
        const auto text = ByteView(good).get<std::uint64_t>(table + 64 + 24).value();
        poke(bad, table + 128 + 24, text + 1, 8);
        const auto opened = open_all(bad);
        REQUIRE_FALSE(opened.status);
        CHECK_THAT(opened.status.error().message, Contains("section 1 (.text) and section 2 (.rodata) overlap: file bytes"));
    }
    SECTION("overlapping in the file without being loaded") {
        Buffer bad = good;
        const auto names = ByteView(good).get<std::uint64_t>(table + 3 * 64 + 24).value();  // .strtab
        poke(bad, table + 4 * 64 + 24, names, 8);                                           // .symtab
        CHECK_THAT(open_all(bad).status.error().message, Contains("(.strtab)") && Contains("(.symtab)") && Contains("overlap"));
    }
    SECTION("overlapping in memory") {
        elf.parts[1].address = 0x401001;
        const auto opened = open_all(elf.build());
        REQUIRE_FALSE(opened.status);
        CHECK_THAT(opened.status.error().message, Contains("overlap: addresses"));
    }
    SECTION("past the end of the address space") {
        elf.parts[1].address = ~std::uint64_t{0} - 3;
        CHECK_THAT(open_all(elf.build()).status.error().message, Contains("section 2 (.rodata)") && Contains("address space"));
    }
}

TEST_CASE("other machines, byte orders and types are unsupported, not malformed") {
    ElfBuilder elf = tiny_program();
    elf.machine = 183;  // EM_AARCH64
    CHECK(open_all(elf.build()).status.error().code == ErrorCode::unsupported);
    elf.machine = 62;
    elf.type = 4;  // ET_CORE
    CHECK(open_all(elf.build()).status.error().code == ErrorCode::unsupported);
    Buffer big = tiny_program().build();
    big[5] = 2;  // ELFDATA2MSB
    CHECK(open_all(big).status.error().code == ErrorCode::unsupported);
}

TEST_CASE("more sections than the limit are refused, naming the option; many within it are opened in linear time") {
    ElfBuilder elf;
    elf.add({".text", 1, 6, 0x1000, {0xC3}});
    for (int i = 0; i < 60000; ++i) elf.add({"s", 1, 2, 0x2000 + static_cast<std::uint64_t>(i), {0}});
    const Buffer bytes = elf.build();
    CHECK(open_all(bytes).status);
    OpenOptions options;
    options.max_sections = 100;
    const auto opened = open_all(bytes, options);
    REQUIRE_FALSE(opened.status);
    CHECK(opened.status.error().code == ErrorCode::refused);
    CHECK_THAT(opened.status.error().message, Contains("limit is 100") && Contains("--max-sections"));
}

TEST_CASE("without section headers the program headers give the code, and a physical entry is translated") {
    ElfBuilder elf;
    elf.section_headers = false;
    elf.entry = 0x1000001;  // physical, as in a vmlinux
    elf.add({"", 1, 6, 0, {0x90, 0xF4}});
    elf.loads.push_back({5, 0xffffffff81000000, 0x1000000, 0});
    const auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    const Image& image = opened.images[0];
    REQUIRE(image.sections.size() == 1);
    CHECK(image.sections[0].executable);
    CHECK(image.sections[0].address == VirtAddr{0xffffffff81000000});
    REQUIRE(image.pointers.size() == 1);
    CHECK(image.pointers[0].address == VirtAddr{0xffffffff81000001});
    CHECK(image.symbol_source == SymbolSource::none);
}

TEST_CASE("data words make code pointers only where something plausibly starts") {
    ElfBuilder elf;
    Buffer text(64, 0x90);
    text[31] = 0xC3;
    text[32] = 0x55;  // an aligned address after a ret
    elf.add({".text", 1, 6, 0x401000, text});
    Buffer data;
    for (std::uint64_t value : {0x401020, 0x401005, 0x500000, 7}) put(data, value, 8);
    elf.add({".data", 1, 3, 0x402000, data});
    const auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    REQUIRE(opened.images[0].pointers.size() == 1);
    CHECK(opened.images[0].pointers[0].address == VirtAddr{0x401020});
    CHECK(opened.images[0].pointers[0].origin == CodePointer::Origin::data_pointer);
}

TEST_CASE("a note inside .text is no overlap: Xen's 32-bit image was refused for it") {
    ElfBuilder elf = tiny_program();
    elf.add({".note", 7, 2, 0x401001, Buffer(2, 0)});
    Buffer file = elf.build();
    const std::size_t table = ByteView(file).get<std::uint32_t>(40).value();
    poke(file, table + 5 * 64 + 24, ByteView(file).get<std::uint64_t>(table + 64 + 24).value() + 1, 8);
    const auto opened = open_all(file);
    REQUIRE(opened.images.size() == 1);
    CHECK(opened.images[0].sections.size() == 2);
}

TEST_CASE("the build id is read and the sha256 is that of the file") {
    ElfBuilder elf = tiny_program();
    Buffer note;
    put(note, 4, 4);
    put(note, 4, 4);
    put(note, 3, 4);
    put(note, 0x00554E47, 4);
    put(note, 0xDDCCBBAA, 4);
    elf.add({".note.gnu.build-id", 7, 2, 0x403000, note});
    CHECK(open_all(elf.build()).images.at(0).build_id == "aabbccdd");
    // FIPS 180-2, appendix B.1: SHA-256 of "abc".
    OpenOptions raw;
    raw.raw = CodeWidth::bits32;
    CHECK(open_all({'a', 'b', 'c'}, raw).images.at(0).sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
