// SPDX-License-Identifier: Apache-2.0
// Disjoint claims sorted by place: at most two neighbours have to be asked.
#include "patch/room.h"

#include "support/error.h"

namespace trapline::patch {

std::optional<std::uint32_t> Room::find_owner(scan::CodePlace begin, std::uint64_t end) const {
    auto next = claims_.upper_bound(begin);
    if (next != claims_.begin()) {
        const auto before = std::prev(next);
        if (before->first.section == begin.section && before->second.end > begin.offset) return before->second.owner;
    }
    if (next != claims_.end() && next->first.section == begin.section && next->first.offset < end) return next->second.owner;
    return std::nullopt;
}

void Room::claim(scan::CodePlace begin, std::uint64_t end, std::uint32_t owner) {
    TRAPLINE_ASSERT(begin.offset < end && is_free(begin, end), "two patches of a plan never share a byte");
    claims_.emplace(begin, Claim{end, owner});
    by_owner_.emplace(owner, begin);
}

void Room::release(std::uint32_t owner) {
    const auto [first, last] = by_owner_.equal_range(owner);
    for (auto it = first; it != last; ++it) claims_.erase(it->second);
    by_owner_.erase(first, last);
}

}  // namespace trapline::patch
