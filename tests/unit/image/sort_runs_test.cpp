// SPDX-License-Identifier: Apache-2.0
// Sorting by merging runs: order, stability, and the shapes that a merge gets wrong at its edges.
#include "image/sort_runs.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

using trapline::image::sort_runs;

namespace {

std::vector<int> sorted(std::vector<int> items) {
    sort_runs(items, [](int a, int b) { return a < b; });
    return items;
}

}  // namespace

TEST_CASE("sort_runs sorts whatever number of runs there is", "[image]") {
    CHECK(sorted({}).empty());
    CHECK(sorted({7}) == std::vector{7});
    CHECK(sorted({1, 2, 2, 9}) == std::vector{1, 2, 2, 9});
    CHECK(sorted({5, 8, 1, 6}) == std::vector{1, 5, 6, 8});
    CHECK(sorted({4, 5, 2, 3, 0, 1}) == std::vector{0, 1, 2, 3, 4, 5});
    CHECK(sorted({9, 8, 7, 6, 5, 4, 3}) == std::vector{3, 4, 5, 6, 7, 8, 9});
    CHECK(sorted({3, 1, 2, 0, 9, 4, 8, 5}) == std::vector{0, 1, 2, 3, 4, 5, 8, 9});
}

TEST_CASE("sort_runs keeps the order of equal items", "[image]") {
    using Item = std::pair<int, std::string>;
    std::vector<Item> items = {{1, "a"}, {3, "b"}, {1, "c"}, {3, "d"}, {0, "e"}, {1, "f"}};
    sort_runs(items, [](const Item& a, const Item& b) { return a.first < b.first; });
    CHECK(items == std::vector<Item>{{0, "e"}, {1, "a"}, {1, "c"}, {1, "f"}, {3, "b"}, {3, "d"}});
}

TEST_CASE("sort_runs sorts a permutation of a million numbers", "[image]") {
    constexpr std::uint32_t kCount = 1u << 20;
    std::vector<std::uint32_t> items(kCount);
    for (std::uint32_t i = 0; i < kCount; ++i) items[i] = i * 2654435761u & (kCount - 1);  // odd factor: a permutation
    sort_runs(items, std::less<>());
    bool in_place = true;
    for (std::uint32_t i = 0; i < kCount; ++i) in_place &= items[i] == i;
    CHECK(in_place);
}
