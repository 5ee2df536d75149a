// SPDX-License-Identifier: Apache-2.0
// The ways to make a site reach the VMM, in the order in which they are tried. Each has a file of its own, with what has to
// be true for it to be safe at the file's head.
#pragma once

#include <span>

#include "patch/window.h"

namespace trapline::patch {

/// How control comes from a window to what stands in for it.
enum class Entry : std::uint8_t {
    jump,         ///< JMP rel32 to the stub in the window itself
    short_jump,   ///< JMP rel8 in the window, to a JMP rel32 on the springboard
    in_place,     ///< the template itself stands in the window; there is no stub
    alternative,  ///< the entry of .altinstructions is pointed at a jump to the stub
    breakpoint,   ///< INT3; there is no stub
};

/// What a tactic proposes. Nothing is claimed or written yet.
struct Draft {
    Technique technique = Technique::unplanned;
    Entry entry = Entry::jump;
    Window window;
    std::optional<scan::CodePlace> springboard;        ///< five bytes that nothing else uses, or such bytes of `evicted`
    std::optional<Window> evicted;                     ///< neighbours that make room for a springboard; they get a stub too
    std::vector<const image::TableEntry*> alternatives;///< the replacements that are redirected
    bool punned = false;                               ///< the short jump's displacement is the first byte of what follows
    bool claims_pun = false;                           ///< and no other patch has that byte

    /// Where the bytes end that must stay as this draft leaves them. (The byte of a pun may belong to another patch.)
    std::uint64_t claim_end() const { return claims_pun ? window.begin.offset + kShortJumpBytes : window.end; }
};

/// The first byte that a window gets; nothing where that is not the same for all.
constexpr std::optional<std::uint8_t> first_byte(Entry entry) {
    switch (entry) {
        case Entry::jump: return 0xE9;
        case Entry::short_jump: return 0xEB;
        case Entry::breakpoint: return 0xCC;
        case Entry::in_place:
        case Entry::alternative: break;
    }
    return std::nullopt;
}

struct Proposal {
    std::optional<Draft> draft;
    std::string refusal;  ///< why there is none: one sentence without a full stop
};

struct Tactic {
    Technique technique;
    Proposal (*propose)(const PlanContext& context, scan::CodePlace site);
};

Proposal propose_inline(const PlanContext& context, scan::CodePlace site);
Proposal propose_direct(const PlanContext& context, scan::CodePlace site);
Proposal propose_absorb(const PlanContext& context, scan::CodePlace site);
Proposal propose_springboard(const PlanContext& context, scan::CodePlace site);
Proposal propose_pun(const PlanContext& context, scan::CodePlace site);
Proposal propose_breakpoint(const PlanContext& context, scan::CodePlace site);

/// The replacement of an alternative is never run where it stands: for sites in it this is the only tactic besides INT3.
Proposal propose_alternative(const PlanContext& context, scan::CodePlace site);
/// Says why such a draft is a jump and not the operation itself: one sentence without a full stop.
std::string refuse_inline_replacement(const Draft& draft);

/// Those that need no bytes but the site's and its neighbours', cheapest first.
std::span<const Tactic> code_tactics();

}  // namespace trapline::patch
