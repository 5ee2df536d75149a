// SPDX-License-Identifier: Apache-2.0
// What the map of a section counts and finds.
#include "scan/section_code.h"

#include <catch2/catch.hpp>

using namespace trapline::scan;

TEST_CASE("reached bytes are those of swept instructions that were reached", "[scan]") {
    // 21 cells: two groups of eight and a rest of five.
    CodeMap map(21);
    map.set_swept(0, 15, true, true);
    map.set_swept(15, 1, false, false);
    map.set_swept(16, 3, false, true);
    map.set_swept(19, 2, true, false);
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

TEST_CASE("eight instructions of fifteen bytes do not run over the sum of a group", "[scan]") {
    // No code has them so close; the sum must hold whatever cells there are.
    CodeMap map(16);
    for (std::uint64_t at = 0; at < 16; ++at) {
        map.set_swept(at, 15, false, false);
        map.set_reached(at);
    }
    CHECK(map.reached_bytes() == 240);
}
