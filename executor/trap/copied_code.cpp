// SPDX-License-Identifier: Apache-2.0
// Places are found again by sixteen bytes, the first of which they have in common with few others: CCh, E9h.
#include "executor/trap/copied_code.h"

#include <algorithm>
#include <cstring>

namespace trapline::executor {
namespace {

constexpr std::uint8_t kInt3 = 0xCC;

}  // namespace

CopiedCode::Window CopiedCode::window_at(PageBytes page, std::size_t offset) {
    Window window{};
    std::memcpy(window.data(), page.data() + offset - kBefore, sizeof window);
    return window;
}

void CopiedCode::note(std::uint32_t frame, PageBytes run, PageBytes original) {
    constexpr std::size_t kEnd = kPageBytes - kBefore, kGap = 4;  // a patch may have bytes in common with what it replaces
    for (std::size_t at = kBefore; at < kEnd; ++at) {
        if (run[at] == original[at]) continue;
        std::size_t end = at + 1;
        for (std::size_t next = end; next < std::min(end + kGap, kEnd); ++next)
            if (run[next] != original[next]) end = next + 1;
        if (places_.size() >= kMost) {
            places_.clear();
            marks_.reset();
        }
        const Window window = window_at(run, at);
        marks_.set(mark_of(window));
        places_[window] = {frame, static_cast<std::uint32_t>(at), {run.begin() + static_cast<std::ptrdiff_t>(at), run.begin() + static_cast<std::ptrdiff_t>(end)},
                                       {original.begin() + static_cast<std::ptrdiff_t>(at), original.begin() + static_cast<std::ptrdiff_t>(end)}};
        first_bytes_[run[at]] = true;
        at = end;
    }
}

bool CopiedCode::restore(std::uint32_t frame, std::span<std::uint8_t, kPageBytes> page) const {
    // Changed at the end: a window may hold several places.
    std::vector<std::pair<std::size_t, const Place*>> found;
    for (std::size_t at = kBefore; at < kPageBytes - kBefore; ++at) {
        // Within padding nothing begins: what begins there is laid over it from its first byte on.
        if (!first_bytes_[page[at]] || (page[at] == kInt3 && page[at - 1] == kInt3 && page[at + 1] == kInt3)) continue;
        const Window window = window_at(page, at);
        if (!marks_[mark_of(window)]) continue;
        const auto known = places_.find(window);
        if (known == places_.end() || (known->second.frame == frame && known->second.offset == at)) continue;
        const std::vector<std::uint8_t>& run = known->second.run;
        if (run.size() <= kPageBytes - at && std::equal(run.begin(), run.end(), page.begin() + static_cast<std::ptrdiff_t>(at))) found.emplace_back(at, &known->second);
    }
    for (const auto& [at, place] : found) std::copy(place->original.begin(), place->original.end(), page.begin() + static_cast<std::ptrdiff_t>(at));
    return !found.empty();
}

}  // namespace trapline::executor
