// SPDX-License-Identifier: Apache-2.0
// Program headers read from the beginning of a file; all values are those of the gABI's structures.
#include "image/early_code.h"

#include <catch2/catch.hpp>

#include "elf_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;

namespace {

struct Header {
    std::uint32_t type, flags;
    std::uint64_t offset, size;
};

Buffer elf64(const std::vector<Header>& headers, std::uint16_t machine = 62) {
    Buffer out(64 + 56 * headers.size());
    poke(out, 0, 0x00010102464C457F, 8);  // magic, ELFCLASS64, ELFDATA2LSB, EV_CURRENT
    poke(out, 18, machine, 2);
    poke(out, 32, 64, 8);
    poke(out, 54, 56, 2);
    poke(out, 56, headers.size(), 2);
    for (std::size_t i = 0; i < headers.size(); ++i) {
        poke(out, 64 + 56 * i, headers[i].type, 4);
        poke(out, 68 + 56 * i, headers[i].flags, 4);
        poke(out, 72 + 56 * i, headers[i].offset, 8);
        poke(out, 96 + 56 * i, headers[i].size, 8);
    }
    return out;
}

}  // namespace

TEST_CASE("executable segments are found in the first bytes of a file", "[image]") {
    const auto code = read_early_code(elf64({{1, 7, 0x3000, 0x500}, {1, 5, 0x1000, 0x2100}, {1, 6, 0x8000, 0x10}, {4, 5, 0x9000, 0x10}, {1, 1, 0xA000, 0}}));
    REQUIRE(code);
    CHECK(code->width == CodeWidth::bits64);
    REQUIRE(code->ranges.size() == 2);
    CHECK(code->ranges[0].begin == 0x1000);
    CHECK(code->ranges[0].end == 0x3100);
    CHECK(code->ranges[1].begin == 0x3100);  // what overlaps is decoded once
    CHECK(code->ranges[1].end == 0x3500);
}

TEST_CASE("32-bit program headers have their own layout", "[image]") {
    Buffer file(52 + 32);
    poke(file, 0, 0x00010101464C457F, 8);
    poke(file, 18, 3, 2);
    poke(file, 28, 52, 4);
    poke(file, 42, 32, 2);
    poke(file, 44, 1, 2);
    poke(file, 52, 1, 4);
    poke(file, 56, 0x1000, 4);
    poke(file, 68, 0x234, 4);
    poke(file, 76, 5, 4);
    const auto code = read_early_code(file);
    REQUIRE(code);
    CHECK(code->width == CodeWidth::bits32);
    REQUIRE(code->ranges.size() == 1);
    CHECK(code->ranges[0].begin == 0x1000);
    CHECK(code->ranges[0].end == 0x1234);
}

TEST_CASE("whatever is no beginning of an x86 ELF file with code gives nothing", "[image]") {
    const Buffer good = elf64({{1, 5, 0x1000, 0x10}});
    REQUIRE(read_early_code(good));
    for (std::size_t size = 0; size < good.size(); ++size) CHECK_FALSE(read_early_code(Bytes(good).first(size)));
    CHECK_FALSE(read_early_code(elf64({{1, 6, 0x1000, 0x10}})));
    CHECK_FALSE(read_early_code(elf64({{1, 5, 0x1000, 0x10}}, 183)));
    CHECK_FALSE(read_early_code(elf64({{1, 5, ~std::uint64_t{0}, 0x10}})));
    for (const auto& [at, value] : {std::pair<std::size_t, std::uint64_t>{4, 1}, {5, 2}, {54, 8}, {56, 65}}) {
        Buffer bad = good;
        poke(bad, at, value, 1);
        CHECK_FALSE(read_early_code(bad));
    }
    Buffer far = good;
    poke(far, 32, ~std::uint64_t{0} - 8, 8);
    CHECK_FALSE(read_early_code(far));
}
