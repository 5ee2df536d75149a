// SPDX-License-Identifier: Apache-2.0
// breakpoint: INT3 in the first byte, and in the others where they are free. UD2 would do as well and costs three to four
// times as much to deliver.
//
// Safe because: only bytes of the site's instruction change, and whatever leads here meets the INT3 at its begin. Refused where the kernel reads or rewrites the instruction, or where another decode shares the byte.
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
    // The rest of it is no instruction any longer; left as it is it would look like one.
    const bool alone = context.room.is_free(site, insn->end()) && context.facts.find_slots(site, insn->end()).empty() && context.facts.find_target({site.section, site.offset + 1}, insn->end()) == nullptr;
    draft.window.end = alone ? insn->end() : site.offset + 1;
    draft.window.exit_address = insn->address + insn->bytes.size();
    draft.window.items.push_back({std::move(*insn), nullptr, false});
    draft.window.evidence.push_back(alone ? "only bytes of the instruction itself" : "one byte, the instruction's first");
    return {std::move(draft), {}};
}

}  // namespace trapline::patch
