// SPDX-License-Identifier: Apache-2.0
// direct: the instruction is long enough to hold JMP rel32 to its stub.
//
// Safe because: only bytes of the one instruction change, control reaches them through its first byte alone (window.h), and
// nothing but the site moves.
#include <fmt/format.h>

#include "patch/tactics/tactic.h"

namespace trapline::patch {

Proposal propose_direct(const PlanContext& context, scan::CodePlace site) {
    const auto insn = read_instruction(context.facts, site);
    if (!insn) return {std::nullopt, "no instruction of the sweep stands here"};
    if (insn->bytes.size() < kJumpBytes) return {std::nullopt, fmt::format("its {} bytes hold no jump of {}", insn->bytes.size(), kJumpBytes)};
    std::string why;
    auto window = try_window(context, site, kJumpBytes, site.offset, why);
    if (!window) return {std::nullopt, why};
    return {Draft{Technique::direct, Entry::jump, std::move(*window), {}, {}, {}}, {}};
}

}  // namespace trapline::patch
