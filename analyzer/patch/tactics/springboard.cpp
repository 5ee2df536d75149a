// SPDX-License-Identifier: Apache-2.0
// springboard: two bytes at the site jump to five bytes nearby that hold the jump to the stub.
//
// Safe because: the two bytes satisfy what a window has to (window.h). The five are either dead filler, to which neither an
// instruction nor a target leads, so that nothing runs or reads them but the short jump; or the second half of a window of
// neighbours that satisfies the same obligation, is moved to a stub of its own and begins with the jump there.
#include <fmt/format.h>

#include <algorithm>

#include "patch/tactics/tactic.h"

namespace trapline::patch {
namespace {

using scan::CodePlace;

/// A short jump reaches from 128 bytes before the byte behind it to 127 after.
constexpr std::int64_t kReachBack = -128, kReachForward = 127;

/// Tries the places in reach of a short jump at `from`, the nearest first.
template <class Try>
std::optional<CodePlace> nearest(const PlanContext& context, CodePlace from, std::uint64_t size, Try accept) {
    const auto base = static_cast<std::int64_t>(from.offset + kShortJumpBytes);
    const auto end = static_cast<std::int64_t>(context.facts.sections()[from.section].bytes.size());
    for (std::int64_t distance = 0; distance <= -kReachBack; ++distance)
        for (const std::int64_t at : {base + distance, base - distance}) {
            if (at < 0 || at + static_cast<std::int64_t>(size) > end || at - base > kReachForward) continue;
            const CodePlace place{from.section, static_cast<std::uint64_t>(at)};
            if (accept(place)) return place;
        }
    return std::nullopt;
}

}  // namespace

Proposal propose_springboard(const PlanContext& context, CodePlace site) {
    Draft draft{Technique::springboard, Entry::short_jump, {}, {}, {}, {}};
    std::string nothing_near;
    const auto find_springboard = [&](const Window& window) {
        draft.springboard = nearest(context, window.begin, kJumpBytes, [&](CodePlace place) {
            const std::uint64_t end = place.offset + kJumpBytes;
            return is_dead_filler(context.facts, place, end) && context.room.is_free(place, end) &&
                   context.facts.find_protected(place, end).empty() && !window.shares_bytes(place, end);
        });
        if (draft.springboard) return true;
        // Evict: the short jump must reach the second half.
        draft.evicted.reset();
        draft.springboard = nearest(context, window.begin, kJumpBytes, [&](CodePlace place) {
            if (place.offset < kJumpBytes) return false;
            const CodePlace begin{place.section, place.offset - kJumpBytes};
            if (window.shares_bytes(begin, place.offset + kJumpBytes)) return false;
            std::string why;
            draft.evicted = try_window(context, begin, 2 * kJumpBytes, std::nullopt, why);
            if (draft.evicted && window.shares_bytes(begin, draft.evicted->end)) draft.evicted.reset();
            return draft.evicted.has_value();
        });
        if (!draft.springboard) nothing_near = "neither dead filler nor neighbours to evict lie in reach of a short jump";
        return draft.springboard.has_value();
    };
    std::string why;
    auto window = find_window(context, site, kShortJumpBytes, why, find_springboard);
    if (!window) return {std::nullopt, nothing_near.empty() ? why : nothing_near};
    draft.window = std::move(*window);
    draft.window.evidence.push_back(fmt::format("springboard at {:#x}: {}", context.facts.sections()[draft.springboard->section].address_of(draft.springboard->offset).value,
                                                draft.evicted ? "room of evicted neighbours" : "dead filler"));
    return {std::move(draft), {}};
}

}  // namespace trapline::patch
