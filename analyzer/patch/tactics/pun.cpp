// SPDX-License-Identifier: Apache-2.0
// pun: of a one-byte site only that byte becomes JMP rel8; its displacement is the first byte of what follows, the next
// instruction or its patch. So it leads to one given place, and a springboard is made there.
//
// Safe because: the byte behind the site has its value and its meaning for whoever runs it as an instruction of its own; that
// value is settled before (a byte of the image that this patch then claims, or the first of another patch), and nothing but
// the plan writes it; and the springboard satisfies what tactics/springboard.cpp asks: dead filler, or bytes of a window
// whose instructions all move. Both patches stand and fall together where the byte is another patch's.
#include <fmt/format.h>

#include <algorithm>

#include "patch/tactics/tactic.h"

namespace trapline::patch {
namespace {

/// How far before the springboard an evicted window may begin.
constexpr std::uint64_t kMostEvicted = 24;

/// Whether nothing but the plan changes a byte: the exception table names addresses and writes nothing.
bool only_the_plan_changes(const PlanContext& context, scan::CodePlace place) {
    const auto tables = context.facts.find_protected(place, place.offset + 1);
    return context.facts.find_slots(place, place.offset + 1).empty() &&
           std::all_of(tables.begin(), tables.end(), [](const scan::ProtectedRange* range) { return range->kind == image::TableKind::exception_table; });
}

}  // namespace

Proposal propose_pun(const PlanContext& context, scan::CodePlace site) {
    const scan::SectionCode& code = context.facts.sections()[site.section];
    std::string why;
    auto window = try_window(context, site, 1, site.offset, why);
    if (!window) return {std::nullopt, why};
    const scan::CodePlace next{site.section, site.offset + 1};
    if (window->size() != 1) return {std::nullopt, "a pun is for sites of one byte"};
    if (next.offset >= code.bytes.size()) return {std::nullopt, "the section ends behind it"};
    const auto displacement = context.planned_byte(next);
    if (!displacement || !only_the_plan_changes(context, next)) return {std::nullopt, "the byte behind it may change"};
    const std::int64_t target = static_cast<std::int64_t>(site.offset + kShortJumpBytes) + static_cast<std::int8_t>(*displacement);
    if (target < 0 || static_cast<std::uint64_t>(target) + kJumpBytes > code.bytes.size()) return {std::nullopt, "its pun leads out of the section"};
    const scan::CodePlace springboard{site.section, static_cast<std::uint64_t>(target)};
    const std::uint64_t end = springboard.offset + kJumpBytes;

    Draft draft{Technique::springboard, Entry::short_jump, std::move(*window), springboard, {}, {}, true, context.room.is_free(next, next.offset + 1)};
    const auto is_apart = [&](const Window& other) { return !other.shares_bytes(site, site.offset + kShortJumpBytes); };
    std::string place = "dead filler";
    if (!(is_free_filler(context, springboard, end) && (springboard.offset >= site.offset + kShortJumpBytes || end <= site.offset))) {
        for (std::uint64_t before = kJumpBytes; before <= kMostEvicted && before <= springboard.offset && !draft.evicted; ++before) {
            draft.evicted = try_window(context, {site.section, springboard.offset - before}, before + kJumpBytes, std::nullopt, why);
            if (draft.evicted && !is_apart(*draft.evicted)) draft.evicted.reset();
        }
        if (!draft.evicted)
            return {std::nullopt, fmt::format("its pun leads to {:#x}, where no room can be made", code.address_of(springboard.offset).value)};
        place = "room of evicted neighbours";
    }
    draft.window.evidence.push_back(fmt::format("the byte behind it is {:02x} and leads to {:#x}: {}", *displacement,
                                                code.address_of(springboard.offset).value, place));
    return {std::move(draft), {}};
}

}  // namespace trapline::patch
