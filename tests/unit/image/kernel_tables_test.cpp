// SPDX-License-Identifier: Apache-2.0
// Tables of a linked kernel, built after the structures in the kernel's headers.
#include <algorithm>
#include <catch2/catch.hpp>

#include "kallsyms_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

namespace {

constexpr std::uint64_t kText = 0xffffffff81000000, kReplacement = kText + 0x10000, kTable = kText + 0x20000;

// A kernel of three sections; the table stands at kTable.
ElfBuilder kernel(const std::string& table, Buffer bytes) {
    ElfBuilder elf;
    elf.add({".text", 1, 6, kText, Buffer(0x1000, 0x90)});
    elf.add({".altinstr_replacement", 1, 6, kReplacement, Buffer(0x100, 0x90)});
    elf.add({table, 1, 2, kTable, std::move(bytes)});
    return elf;
}
// A field relative to its own place.
void relative(Buffer& out, std::uint64_t target) { put(out, target - (kTable + out.size()), 4); }

Image open_one(const ElfBuilder& elf) {
    auto opened = open_all(elf.build());
    REQUIRE(opened.status);
    return std::move(opened.images.at(0));
}

std::vector<TableEntry> of(const Image& image, TableKind kind) {
    std::vector<TableEntry> out;
    std::copy_if(image.tables.begin(), image.tables.end(), std::back_inserter(out), [&](const TableEntry& e) { return e.kind == kind; });
    return out;
}

}  // namespace

TEST_CASE("each layout of struct alt_instr is recognised by the table as a whole") {
    const int size = GENERATE(12, 13, 14);
    Buffer table;
    for (std::uint64_t i = 0; i < 40; ++i) {
        relative(table, kText + 16 * i);
        relative(table, kReplacement + 4 * i);
        put(table, 3 * 32 + 11, 2);
        if (size == 14) put(table, i == 0 ? 1 : 2, 2);  // ALT_FLAG_NOT, ALT_FLAG_DIRECT_CALL
        put(table, 5, 1);
        put(table, 3, 1);
        if (size == 13) put(table, 2, 1);
    }
    const Image image = open_one(kernel(".altinstructions", table));
    const auto originals = of(image, TableKind::alternative_original);
    const auto replacements = of(image, TableKind::alternative_replacement);
    REQUIRE(originals.size() == 40);
    REQUIRE(replacements.size() == 40);
    CHECK(originals[1].code == AddressRange{{kText + 16}, {kText + 21}});
    CHECK(originals[1].peer == VirtAddr{kReplacement + 4});
    CHECK(replacements[1].code == AddressRange{{kReplacement + 4}, {kReplacement + 7}});
    CHECK(replacements[1].peer == VirtAddr{kText + 16});
    CHECK(to_text(originals[0].detail) == (size == 14 ? "not feature 3*32+11" : "feature 3*32+11"));
    CHECK(to_text(originals[1].detail) == (size == 14 ? "feature 3*32+11, direct call" : "feature 3*32+11"));
    REQUIRE_FALSE(image.facts.empty());
    CHECK_THAT(image.facts.back(), Contains("40 entries of " + std::to_string(size) + " bytes"));
}

TEST_CASE("alternatives that fit no layout become a note") {
    const Image image = open_one(kernel(".altinstructions", Buffer(120, 0x11)));
    CHECK(image.tables.empty());
    CHECK(std::any_of(image.notes.begin(), image.notes.end(), [](const auto& n) { return n.find("fit none") != std::string::npos; }));
}

TEST_CASE("exception tables of 12 and of 8 bytes, lock and return sites") {
    Buffer with_data;
    relative(with_data, kText + 0x10);
    relative(with_data, kText + 0x20);
    put(with_data, 3, 4);
    const auto entries = of(open_one(kernel("__ex_table", with_data)), TableKind::exception_table);
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].code == AddressRange{{kText + 0x10}, {kText + 0x11}});
    CHECK(entries[0].peer == VirtAddr{kText + 0x20});

    Buffer old;
    for (std::uint64_t i = 0; i < 4; i += 2) {
        relative(old, kText + i);
        relative(old, kText + i + 1);
    }
    CHECK(of(open_one(kernel("__ex_table", old)), TableKind::exception_table).size() == 2);

    Buffer points;
    relative(points, kText + 7);
    put(points, 0, 8);  // filled up with zeros, as .smp_locks is
    const Image locks = open_one(kernel(".smp_locks", points));
    CHECK(of(locks, TableKind::smp_lock).size() == 1);
    CHECK(std::none_of(locks.notes.begin(), locks.notes.end(), [](const auto& n) { return n.find(".smp_locks") != std::string::npos; }));
    CHECK(of(open_one(kernel(".return_sites", points)), TableKind::return_site).size() == 1);
}

TEST_CASE("paravirt sites have a type and a length; points outside code are counted in a note") {
    Buffer table;
    put(table, kText + 5, 8);
    put(table, 21, 1);
    put(table, 7, 1);
    put(table, 0, 6);
    put(table, kTable, 8);
    put(table, 0, 8);
    const Image image = open_one(kernel(".parainstructions", table));
    const auto sites = of(image, TableKind::paravirt_site);
    REQUIRE(sites.size() == 1);
    CHECK(sites[0].code == AddressRange{{kText + 5}, {kText + 12}});
    CHECK(to_text(sites[0].detail) == "operation 21");
    CHECK_THAT(image.notes.back(), Contains("1 of 2"));
}

TEST_CASE("a jump table without a name is found by its shape") {
    ElfBuilder elf;
    Buffer text(16 * 700, 0x90);
    Buffer data = write_kallsyms(many_symbols(kText), kText, {});
    while (data.size() % 8) data.push_back(0);
    const std::size_t begin = data.size();
    for (std::uint64_t i = 0; i < 12; ++i) {
        const Buffer nop{0x0F, 0x1F, 0x44, 0x00, 0x00};
        std::copy(nop.begin(), nop.end(), text.begin() + static_cast<std::ptrdiff_t>(32 * i));
        put(data, kText + 32 * i - (kTable + data.size()), 4);
        put(data, kText + 32 * i + 9 - (kTable + data.size()), 4);
        put(data, 0x1000, 8);
    }
    elf.add({".text", 1, 6, kText, text});
    elf.add({".rodata", 1, 2, kTable, data});
    const Image image = open_one(elf);
    const auto labels = of(image, TableKind::jump_label);
    REQUIRE(labels.size() == 12);
    CHECK(labels[2].code.begin == VirtAddr{kText + 64});
    CHECK(labels[2].peer == VirtAddr{kText + 73});
    CHECK_THAT(image.facts.back(), Contains("by its shape") && Contains(std::to_string(data.size() - begin)));
}

TEST_CASE("the relocation table behind a kernel gives code pointers; other bytes there give a note") {
    ElfBuilder elf;
    Buffer data;
    put(data, kText + 0x123, 8);
    put(data, static_cast<std::uint32_t>(kText + 0x45), 4);
    put(data, 0x1234, 4);
    elf.add({".text", 1, 6, kText, Buffer(0x1000, 0x90)});
    elf.add({".data", 1, 3, kTable, data});
    Buffer file = elf.build();
    const Buffer plain = file;
    for (std::uint64_t word : {std::uint64_t{0}, kTable, std::uint64_t{0}, std::uint64_t{0}, kTable + 8, kTable + 12})
        put(file, static_cast<std::uint32_t>(word), 4);  // 64-bit slots; no inverse ones; 32-bit slots
    const auto opened = open_all(file);
    REQUIRE(opened.images.size() == 1);
    const auto& pointers = opened.images[0].pointers;
    REQUIRE(pointers.size() == 2);
    CHECK(pointers[0].address == VirtAddr{kText + 0x45});
    CHECK(pointers[1].address == VirtAddr{kText + 0x123});
    CHECK(pointers[1].origin == CodePointer::Origin::relocation);

    Buffer other = plain;
    for (int i = 0; i < 6; ++i) put(other, i == 0 || i == 3 ? 0 : 0x77777777, 4);
    const auto noted = open_all(other);
    REQUIRE(noted.images.size() == 1);
    CHECK(noted.images[0].pointers.empty());
    CHECK_THAT(noted.images[0].notes.back(), Contains("0 of its 4 slots"));
}
