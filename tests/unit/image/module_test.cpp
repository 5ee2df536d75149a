// SPDX-License-Identifier: Apache-2.0
// Relocatable files: what the tables of a module point to stands in its relocations.
#include <catch2/catch.hpp>

#include "elf_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;

namespace {

// An entry of a .rela section: R_X86_64_PC32 is 2, R_X86_64_64 is 1.
void rela(Buffer& out, std::uint64_t offset, std::uint32_t symbol, std::uint32_t type, std::int64_t addend) {
    put(out, offset, 8);
    put(out, std::uint64_t{symbol} << 32 | type, 8);
    put(out, static_cast<std::uint64_t>(addend), 8);
}

}  // namespace

TEST_CASE("a module's alternatives and lock table are read through its relocations") {
    ElfBuilder elf;
    elf.type = 1;
    const auto text = elf.add({".text", 1, 6, 0, {0x9C, 0x58, 0x90, 0xF0, 0xFF, 0x00, 0xC3}});
    const auto replacement = elf.add({".altinstr_replacement", 1, 6, 0, {0xCC, 0xFA, 0xFB}});
    Buffer alternatives;  // two entries of 12 bytes, offsets left to the relocations
    for (int i = 0; i < 2; ++i) {
        put(alternatives, 0, 8);
        put(alternatives, i == 0 ? 9 * 32 + 20 : 0x8000 | (3 * 32 + 9), 2);
        put(alternatives, i == 0 ? 0x0202 : 0x0001, 2);  // lengths: 2 and 2; 1 and 0
    }
    const auto table = elf.add({".altinstructions", 1, 2, 0, alternatives});
    const auto locks = elf.add({".smp_locks", 1, 2, 0, Buffer(4, 0)});
    const auto symbols = elf.add_symbols({{"", 0, static_cast<std::uint16_t>(text), 3, 0},
                                          {"", 0, static_cast<std::uint16_t>(replacement), 3, 0},
                                          {"work", 0, static_cast<std::uint16_t>(text), 2, 7}});
    Buffer first;
    rela(first, 0, 1, 2, 0);
    rela(first, 4, 2, 2, 1);
    rela(first, 12, 1, 2, 2);
    elf.add({".rela.altinstructions", 4, 0x40, 0, first, symbols, table, 24});
    Buffer second;
    rela(second, 0, 3, 2, 3);
    elf.add({".rela.smp_locks", 4, 0x40, 0, second, symbols, locks, 24});

    const auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    const Image& image = opened.images[0];
    CHECK(image.relocatable);
    CHECK(image.sections[0].address == VirtAddr{0});
    CHECK_FALSE(image.find_section({0}));
    REQUIRE(image.tables.size() == 4);
    const TableEntry& original = image.tables[0];
    CHECK(original.kind == TableKind::alternative_original);
    CHECK(original.section == 0);
    CHECK(original.code == AddressRange{{0}, {2}});
    CHECK(original.peer == VirtAddr{1});
    CHECK(original.peer_section == 1);
    CHECK(to_text(original.detail) == "feature 9*32+20");
    CHECK(image.tables[1].code == AddressRange{{2}, {3}});
    CHECK(to_text(image.tables[1].detail) == "not feature 3*32+9");
    CHECK_FALSE(image.tables[1].peer);
    CHECK(image.tables[2].kind == TableKind::smp_lock);
    CHECK(image.tables[2].code.begin == VirtAddr{3});
    CHECK(image.tables[3].kind == TableKind::alternative_replacement);
    CHECK(image.tables[3].section == 1);
    CHECK(image.tables[3].code == AddressRange{{1}, {3}});
    CHECK(image.tables[3].peer == VirtAddr{0});
}

TEST_CASE("a relocated pointer in data is a code pointer") {
    ElfBuilder elf;
    elf.type = 1;
    const auto text = elf.add({".text", 1, 6, 0, Buffer(32, 0x90)});
    const auto data = elf.add({".data", 1, 3, 0, Buffer(8, 0)});
    const auto symbols = elf.add_symbols({{"", 0, static_cast<std::uint16_t>(text), 3, 0}});
    Buffer entries;
    rela(entries, 0, 1, 1, 0x11);
    elf.add({".rela.data", 4, 0x40, 0, entries, symbols, data, 24});
    const auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    REQUIRE(opened.images[0].pointers.size() == 1);
    CHECK(opened.images[0].pointers[0].address == VirtAddr{0x11});
    CHECK(opened.images[0].pointers[0].origin == CodePointer::Origin::relocation);
}

TEST_CASE("i386 relocations keep their addend in the field") {
    ElfBuilder elf;
    elf.is_64 = false;
    elf.machine = 3;
    elf.type = 1;
    const auto text = elf.add({".text", 1, 6, 0, Buffer(32, 0x90)});
    const auto table = elf.add({"__ex_table", 1, 2, 0, {5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0}});
    const auto symbols = elf.add_symbols({{"", 0, static_cast<std::uint16_t>(text), 3, 0}});
    Buffer entries;
    for (std::uint32_t offset : {0u, 4u}) {
        put(entries, offset, 4);
        put(entries, 1 << 8 | 2, 4);  // symbol 1, R_386_PC32
    }
    elf.add({".rel__ex_table", 9, 0x40, 0, entries, symbols, table, 8});
    const auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    REQUIRE(opened.images[0].tables.size() == 1);
    CHECK(opened.images[0].tables[0].kind == TableKind::exception_table);
    CHECK(opened.images[0].tables[0].code.begin == VirtAddr{5});
    CHECK(opened.images[0].tables[0].peer == VirtAddr{9});
}
