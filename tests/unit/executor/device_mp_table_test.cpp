// SPDX-License-Identifier: Apache-2.0
// The MP table against the MultiProcessor Specification 1.4, chapter 4, read field by field.
#include <catch2/catch.hpp>

#include <map>
#include <numeric>
#include <string>

#include "executor/device/mp_table.h"

using namespace trapline::executor;

TEST_CASE("The table follows the specification", "[device]") {
    const std::vector<std::uint8_t> bytes = mp_table(0x9FC00, {.signature = 0x00000673, .features = 0x0383FBFF});
    const auto text = [&](std::size_t at, std::size_t size) { return std::string(reinterpret_cast<const char*>(bytes.data()) + at, size); };
    const auto number = [&](std::size_t at, std::size_t size) {
        std::uint32_t out = 0;
        while (size-- > 0) out = out << 8 | bytes.at(at + size);
        return out;
    };
    const auto sum = [&](std::size_t at, std::size_t size) {
        return std::accumulate(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + size), 0u) & 0xFF;
    };
    // Figure 4-2: floating pointer structure.
    CHECK(text(0, 4) == "_MP_");
    CHECK(number(4, 4) == 0x9FC10);
    CHECK(number(8, 1) == 1);
    CHECK(number(9, 1) == 4);
    CHECK(number(11, 1) == 0);
    CHECK(number(12, 1) == 0);
    CHECK(sum(0, 16) == 0);
    // Figure 4-3: configuration table header.
    CHECK(text(16, 4) == "PCMP");
    REQUIRE(number(20, 2) == bytes.size() - 16);
    CHECK(number(22, 1) == 4);
    CHECK(sum(16, bytes.size() - 16) == 0);
    const std::uint32_t count = number(16 + 34, 2);
    CHECK(number(16 + 36, 4) == 0xFEE00000);
    CHECK(number(16 + 40, 2) == 0);
    // Table 4-3: entry types and lengths, in ascending order.
    const std::map<unsigned, std::size_t> lengths = {{0, 20}, {1, 8}, {2, 8}, {3, 8}, {4, 8}};
    std::size_t at = 16 + 44;
    std::map<unsigned, unsigned> seen;
    std::map<unsigned, unsigned> inputs;  // ISA line -> input
    unsigned last = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const unsigned type = number(at, 1);
        REQUIRE(lengths.count(type) == 1);
        CHECK(type >= last);
        last = type;
        ++seen[type];
        if (type == 0) {
            CHECK(number(at + 3, 1) == 3);  // enabled, bootstrap processor
            CHECK(number(at + 4, 4) == 0x673);
            CHECK(number(at + 8, 4) == 0x0383FBFF);
        } else if (type == 1) {
            CHECK(text(at + 2, 6) == "ISA   ");
        } else if (type == 2) {
            CHECK(number(at + 1, 1) != 0);  // differs from the local APIC's
            CHECK(number(at + 3, 1) == 1);
            CHECK(number(at + 4, 4) == 0xFEC00000);
        } else if (type == 3 && number(at + 1, 1) == 0) {
            inputs[number(at + 5, 1)] = number(at + 7, 1);
        }
        at += lengths.at(type);
    }
    CHECK(at == bytes.size());
    CHECK(seen == std::map<unsigned, unsigned>{{0, 1}, {1, 1}, {2, 1}, {3, 16}, {4, 2}});
    CHECK(inputs.size() == 15);
    CHECK(inputs.at(0) == 2);
    CHECK(inputs.at(4) == 4);
}
