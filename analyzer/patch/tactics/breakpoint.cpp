// SPDX-License-Identifier: Apache-2.0
// breakpoint: INT3 in the first byte. UD2 would do as well and costs three to four times as much to deliver.
//
// Safe because: one byte changes, which belongs to the site's instruction alone and begins it, so whatever leads here meets
// the INT3 whole. Refused where the kernel reads or rewrites the instruction, or where another decode shares the byte.
#include <fmt/format.h>

#include "patch/tactics/tactic.h"

namespace trapline::patch {

Proposal propose_breakpoint(const PlanContext& context, scan::CodePlace site) {
    auto insn = read_instruction(context.facts, site);
    const auto number = context.sites.find(site);
    if (!insn || number == context.sites.end()) return {std::nullopt, "it is no instruction of the sweep: its bytes are shared"};
    for (const scan::ProtectedRange* range : context.facts.find_protected(site, site.offset + 1))
        if (range->kind == image::TableKind::jump_label || range->kind == image::TableKind::static_call || range->kind == image::TableKind::static_call_trampoline ||
            range->kind == image::TableKind::function_trace)
            return {std::nullopt, fmt::format("the kernel checks and rewrites its bytes ({})", image::to_string(range->kind))};
    if (!context.room.is_free(site, site.offset + 1)) return {std::nullopt, "another patch has taken the room"};
    insn->site = number->second;
    Draft draft{Technique::breakpoint, Entry::breakpoint, {}, {}, {}, {}};
    draft.window.begin = site;
    draft.window.end = site.offset + 1;
    draft.window.exit_address = insn->address + insn->bytes.size();
    draft.window.items.push_back({std::move(*insn), nullptr, false});
    draft.window.evidence.push_back("one byte, the instruction's first");
    return {std::move(draft), {}};
}

}  // namespace trapline::patch
