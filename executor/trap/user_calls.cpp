// SPDX-License-Identifier: Apache-2.0
#include "executor/trap/user_calls.h"

#include <algorithm>

namespace trapline::executor {
namespace {

constexpr std::uint8_t kInt = 0xCD, kSystemCall = 0x80, kMovEax = 0xB8, kRet = 0xC3, kNop = 0x90, kInt3 = 0xCC;
constexpr std::size_t kIntBytes = 2, kMovBytes = 5;

bool is_entered(const FoundCode& found, std::size_t begin, std::size_t end) {
    for (std::size_t at = begin + 1; at < end; ++at)
        if (found.targets[at]) return true;
    return false;
}

/// Whether instructions end exactly at `end`. Behind a return stands another function, unless it is padding.
bool is_whole(const FoundCode& found, std::span<const std::uint8_t> page, std::size_t begin, std::size_t end) {
    if (end >= kPageBytes) return false;
    for (std::size_t at = begin; at < end; ++at) {
        if (!found.starts[at] || page[at] != kRet) continue;
        return std::all_of(page.begin() + static_cast<std::ptrdiff_t>(at) + 1, page.begin() + static_cast<std::ptrdiff_t>(end),
                           [](std::uint8_t byte) { return byte == kNop || byte == kInt3 || byte == 0; });
    }
    return found.starts[end];
}

}  // namespace

std::vector<std::uint16_t> find_call_windows(const FoundCode& found, std::span<const std::uint8_t> page) {
    std::vector<std::uint16_t> windows;
    std::size_t free = 0;  // where the last window ends
    const auto take = [&](std::size_t begin) {
        windows.push_back(static_cast<std::uint16_t>(begin));
        free = begin + kFarCallBytes;
    };
    for (std::size_t at = found.starts._Find_first(); at + kFarCallBytes < kPageBytes; at = found.starts._Find_next(at)) {
        if (page[at] != kInt || page[at + 1] != kSystemCall || at < free) continue;
        if (at >= kMovBytes + free && found.starts[at - kMovBytes] && page[at - kMovBytes] == kMovEax && found.starts._Find_next(at - kMovBytes) == at &&
            !is_entered(found, at - kMovBytes, at + kIntBytes))
            take(at - kMovBytes);
        else if (is_whole(found, page, at, at + kFarCallBytes) && !is_entered(found, at, at + kFarCallBytes))
            take(at);
    }
    return windows;
}

}  // namespace trapline::executor
