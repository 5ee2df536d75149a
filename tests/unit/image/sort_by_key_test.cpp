// SPDX-License-Identifier: Apache-2.0
// The radix sort: every digit of a key counts, equal keys keep their order.
#include "image/sort_by_key.h"

#include <catch2/catch.hpp>

#include <string>

using trapline::image::sort_by_key;

namespace {

using Item = std::pair<std::uint64_t, std::string>;

std::string order(std::vector<Item> items) {
    sort_by_key(items, [](const Item& item) { return item.first; });
    std::string names;
    for (const Item& item : items) names += item.second;
    return names;
}

}  // namespace

TEST_CASE("sort_by_key sorts by all 64 bits", "[image]") {
    CHECK(order({}).empty());
    CHECK(order({{5, "a"}}) == "a");
    CHECK(order({{7, "a"}, {7, "b"}, {7, "c"}}) == "abc");
    CHECK(order({{3, "c"}, {1, "a"}, {2, "b"}}) == "abc");
    // One bit of each digit of eleven, and the highest of all.
    CHECK(order({{1ull << 63, "h"}, {1ull << 55, "g"}, {1ull << 44, "f"}, {1ull << 33, "e"}, {1ull << 22, "d"}, {1ull << 11, "c"}, {1, "b"}, {0, "a"}}) == "abcdefgh");
    CHECK(order({{~0ull, "c"}, {~0ull - 2048, "b"}, {0x7FF, "a"}}) == "abc");
    CHECK(order({{0xFFFFFFFF81000010, "b"}, {0xFFFFFFFF83000000, "c"}, {0xFFFFFFFF8100000F, "a"}}) == "abc");
}

TEST_CASE("sort_by_key keeps the order of equal keys", "[image]") {
    CHECK(order({{1ull << 40, "c"}, {9, "a"}, {1ull << 40, "d"}, {9, "b"}, {1ull << 40, "e"}}) == "abcde");
}
