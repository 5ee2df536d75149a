// SPDX-License-Identifier: Apache-2.0
// A sorted array and binary search for addresses, a plain array for sections.
#include "scan/code_places.h"

#include <algorithm>

namespace trapline::scan {

CodePlaces::CodePlaces(const image::Image& image, const std::vector<SectionCode>& sections)
    : sections_(&sections), relocatable_(image.relocatable), by_index_(image.sections.size(), kNone) {
    for (std::size_t i = 0; i < sections.size(); ++i) {
        by_address_.push_back({sections[i].section->address.value, i});
        by_index_[sections[i].index] = i;
    }
    std::stable_sort(by_address_.begin(), by_address_.end(),
                     [](const Range& a, const Range& b) { return a.begin < b.begin; });
}

std::optional<CodePlace> CodePlaces::find(VirtAddr address) const {
    if (relocatable_) return std::nullopt;
    const auto after = std::upper_bound(by_address_.begin(), by_address_.end(), address.value,
                                        [](std::uint64_t value, const Range& range) { return value < range.begin; });
    if (after == by_address_.begin()) return std::nullopt;
    const std::size_t section = std::prev(after)->section;
    const auto offset = (*sections_)[section].offset_of(address);
    if (!offset) return std::nullopt;
    return CodePlace{section, *offset};
}

std::optional<CodePlace> CodePlaces::find_in(image::SectionIndex section, VirtAddr address) const {
    if (section >= by_index_.size() || by_index_[section] == kNone) return std::nullopt;
    const auto offset = (*sections_)[by_index_[section]].offset_of(address);
    if (!offset) return std::nullopt;
    return CodePlace{by_index_[section], *offset};
}

}  // namespace trapline::scan
