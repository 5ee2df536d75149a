// SPDX-License-Identifier: Apache-2.0
// What the map of a section counts and finds.
#include "scan/section_code.h"

#include <catch2/catch.hpp>

using namespace trapline::scan;

TEST_CASE("reached bytes are those of swept instructions that were reached", "[scan]") {
    // 21 cells: two groups of eight and a rest of five.
    CodeMap map(21);
    map.set_swept(0, CodeMap::instruction(15, true, true), 21);
    map.set_swept(15, CodeMap::instruction(1, false, false), 21);
    map.set_swept(16, CodeMap::instruction(3, false, true), 21);
    map.set_swept(19, CodeMap::instruction(2, true, false), 21);
    CHECK(map.reached_bytes() == 0);
    map.set_reached(0);
    CHECK(map.reached_bytes() == 15);
    map.set_reached(0);
    CHECK(map.reached_bytes() == 15);
    map.set_reached(19);
    CHECK(map.reached_bytes() == 17);
    map.set_reached(16);
    map.set_reached(15);
    CHECK(map.reached_bytes() == 21);
    CHECK(map.swept_length(0) == 15);
    CHECK(map.is_flagged(0));
    CHECK(map.may_transfer(16));
}

TEST_CASE("reached places without an instruction of the sweep have no bytes", "[scan]") {
    CodeMap map(9);
    map.set_padding(0, 4);
    CHECK(map.claim_reached(2));
    CHECK_FALSE(map.claim_reached(2));
    CHECK(map.claim_reached(8));
    CHECK(map.reached_bytes() == 0);
    CHECK(map.is_padding(2));
}

TEST_CASE("the sweep writes over whatever was decoded ahead", "[scan]") {
    auto cells = std::make_shared<trapline::ZeroedBytes>(16);
    for (std::size_t at = 0; at < 16; ++at) (*cells)[at] = CodeMap::instruction(3, true, true);
    CodeMap map(cells, 2, 12);
    CHECK(map.ahead(0) == CodeMap::instruction(3, true, true));
    map.set_swept(0, CodeMap::instruction(5, false, false), 12);
    map.set_padding(5, 7);
    map.set_nothing(7, 10);
    map.set_swept(10, CodeMap::instruction(2, false, true), 12);
    CHECK(map.swept_length(0) == 5);
    CHECK_FALSE(map.is_flagged(0));
    for (const std::uint64_t at : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11}) CHECK(map.swept_length(at) == 0);
    CHECK(map.is_padding(5));
    CHECK(map.is_padding(6));
    CHECK_FALSE(map.is_padding(7));
    CHECK(map.swept_length(10) == 2);
    // Its neighbours' cells stay as they were.
    for (const std::size_t at : {0, 1, 14, 15}) CHECK((*cells)[at] == CodeMap::instruction(3, true, true));
}

TEST_CASE("an instruction of any length clears what was decoded ahead inside it, and no more", "[scan]") {
    for (int length = 1; length <= 15; ++length) {
        for (int stale = 1; stale < 24; ++stale) {
            CodeMap map(24);
            map.set_swept(static_cast<std::uint64_t>(stale), CodeMap::instruction(1, true, false), 24);
            map.set_swept(0, CodeMap::instruction(length, false, true), stale % 2 == 0 ? 24 : 15);
            INFO(length << " bytes, decoded ahead at " << stale);
            CHECK(map.swept_length(static_cast<std::uint64_t>(stale)) == (stale < length ? 0 : 1));
            CHECK(map.swept_length(0) == length);
        }
    }
}

TEST_CASE("the next flagged instruction is found at any distance, and filler is none", "[scan]") {
    CodeMap map(64);
    map.set_padding(0, 30);
    CHECK(map.next_flagged(0, 64) == 64);
    for (std::uint64_t at = 30; at < 63; at += 2) map.set_swept(at, CodeMap::instruction(2, false, true), 64);
    CHECK(map.next_flagged(0, 64) == 64);
    map.set_swept(46, CodeMap::instruction(1, true, false), 64);
    map.set_swept(62, CodeMap::instruction(2, true, true), 64);
    for (std::uint64_t begin = 0; begin <= 46; ++begin) CHECK(map.next_flagged(begin, 64) == 46);
    for (std::uint64_t begin = 47; begin <= 62; ++begin) CHECK(map.next_flagged(begin, 64) == 62);
    CHECK(map.next_flagged(63, 64) == 64);
    CHECK(map.next_flagged(0, 46) == 46);
    CHECK(map.next_flagged(0, 47) == 46);
    CHECK(map.next_flagged(47, 62) == 62);
}
