// SPDX-License-Identifier: Apache-2.0
// Checked reads: nothing outside the view, nothing that wraps.
#include <catch2/catch.hpp>
#include <limits>

#include "support/bytes.h"

using namespace trapline;

TEST_CASE("fields are little-endian and end with the view", "[support]") {
    const std::vector<std::uint8_t> data = {0x78, 0x56, 0x34, 0x12, 0xFF};
    const ByteView view(data);
    CHECK(view.get<std::uint32_t>(0) == 0x12345678u);
    CHECK(view.get<std::uint16_t>(3) == 0xFF12u);
    CHECK(view.get<std::uint8_t>(4) == 0xFFu);
    CHECK_FALSE(view.get<std::uint8_t>(5).has_value());
    CHECK_FALSE(view.get<std::uint16_t>(4).has_value());
    CHECK_FALSE(view.get<std::uint64_t>(0).has_value());
    CHECK_FALSE(view.get<std::uint32_t>(std::numeric_limits<std::uint64_t>::max() - 1).has_value());
}

TEST_CASE("slices refuse lengths that wrap", "[support]") {
    const std::vector<std::uint8_t> data(16, 0);
    const ByteView view(data);
    CHECK(view.slice(16, 0).has_value());
    CHECK(view.slice(4, 12)->size() == 12);
    CHECK_FALSE(view.slice(4, 13).has_value());
    CHECK_FALSE(view.slice(17, 0).has_value());
    CHECK_FALSE(view.slice(8, std::numeric_limits<std::uint64_t>::max() - 4).has_value());
}

TEST_CASE("a string must end inside the view", "[support]") {
    const std::vector<std::uint8_t> data = {'a', 'b', 0, 'c'};
    const ByteView view(data);
    CHECK(view.c_string(0) == std::string_view("ab"));
    CHECK(view.c_string(2) == std::string_view(""));
    CHECK_FALSE(view.c_string(3).has_value());
    CHECK_FALSE(view.c_string(4).has_value());
}

TEST_CASE("hex text", "[support]") {
    CHECK(parse_hex("0f01E0").value() == std::vector<std::uint8_t>{0x0F, 0x01, 0xE0});
    CHECK(parse_hex("0f 01").value().size() == 2);
    CHECK(to_hex(std::vector<std::uint8_t>{0x0F, 0xA0}) == "0fa0");
    CHECK_THAT(parse_hex("0g").error().message, Catch::Contains("'g'") && Catch::Contains("column 2"));
    CHECK_THAT(parse_hex("0f1").error().message, Catch::Contains("odd"));
    CHECK_FALSE(parse_hex("").has_value());
}
