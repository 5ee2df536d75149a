// SPDX-License-Identifier: Apache-2.0
// Sorting of what is nearly sorted: lists that were made by putting sorted ones behind each other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace trapline::image {

/// Sorts stably by merging the runs that are already in order: as many comparisons for each item as the number of runs has
/// binary digits. std::sort meets its worst case on a few sorted lists in a row.
template <class T, class Less>
void sort_runs(std::vector<T>& items, Less less) {
    std::vector<std::ptrdiff_t> bounds = {0};  // of the runs
    const auto size = static_cast<std::ptrdiff_t>(items.size());
    for (std::ptrdiff_t i = 1; i < size; ++i)
        if (less(items[static_cast<std::size_t>(i)], items[static_cast<std::size_t>(i - 1)])) bounds.push_back(i);
    bounds.push_back(size);
    const auto begin = items.begin();
    while (bounds.size() > 2) {
        // Pairs of neighbours; the last run of an odd number waits for the next round.
        std::size_t kept = 1;
        for (std::size_t i = 2; i < bounds.size(); i += 2) {
            std::inplace_merge(begin + bounds[i - 2], begin + bounds[i - 1], begin + bounds[i], less);
            bounds[kept++] = bounds[i];
        }
        if (bounds.size() % 2 == 0) bounds[kept++] = bounds.back();
        bounds.resize(kept);
    }
}

}  // namespace trapline::image
