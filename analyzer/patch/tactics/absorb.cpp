// SPDX-License-Identifier: Apache-2.0
// absorb: a jump takes the room of the site and of its neighbours, which move to the stub with it.
//
// Safe because: nothing leads to the window but its first instruction, and nothing of the kernel's own reads or writes its
// bytes (window.h); every neighbour is moved so that it does the same elsewhere (guest_code.h), in the same order; other
// sites in the window get their own code; and the jump back goes to the instruction that followed. What differs is where a
// fault or an interrupt in the stub appears to happen: the plan's steps map it back.
#include "patch/tactics/tactic.h"

namespace trapline::patch {

Proposal propose_absorb(const PlanContext& context, scan::CodePlace site) {
    std::string why;
    auto window = find_window(context, site, kJumpBytes, why);
    if (!window) return {std::nullopt, why};
    return {Draft{Technique::absorb, Entry::jump, std::move(*window), {}, {}, {}}, {}};
}

}  // namespace trapline::patch
