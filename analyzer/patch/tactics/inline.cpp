// SPDX-License-Identifier: Apache-2.0
// inline: the code that stands in for the instruction takes its place, NOPs and dead filler behind it included.
//
// Safe because: the bytes are the site's own, of NOPs that only the site hands control to, and of filler that nothing leads
// to (window.h); the template is one instruction, shorter or as long, so that a fault or an interrupt meets the guest where
// one of its own instructions begins (in a stub the plan's steps map it there); a template that always leaves for the VMM
// gains nothing here and is left to the other tactics.
#include <fmt/format.h>

#include "patch/self_moving.h"
#include "patch/tactics/tactic.h"

namespace trapline::patch {

Proposal propose_inline(const PlanContext& context, scan::CodePlace site) {
    auto insn = read_instruction(context.facts, site);
    const auto number = context.sites.find(site);
    if (!insn || number == context.sites.end()) return {std::nullopt, "no instruction of the sweep stands here"};
    const auto code = context.templates.find(*insn, context.planned[number->second].form, moves_itself(context.facts.image()));
    if (!code) return {std::nullopt, code.error().describe()};
    if (*code == nullptr) return {std::nullopt, "the interface has no code for it"};
    if ((*code)->source->calls_vmm) return {std::nullopt, "the operation needs the VMM"};
    if (const std::size_t count = (*code)->lines.size(); count > 1)
        return {std::nullopt, fmt::format("its code has {} instructions, and between two of them the guest is at none of its own", count)};
    // Fields of a stub can be relocated; a write's new bytes are what the file holds.
    if (context.facts.image().relocatable && !(*code)->is_placeable()) return {std::nullopt, "its code counts from its own address, which the module loader chooses"};
    std::string why;
    auto window = try_window(context, site, (*code)->bytes.size(), site.offset, why);
    if (!window) return {std::nullopt, fmt::format("its {} bytes of code have no room: {}", (*code)->bytes.size(), why)};
    for (std::size_t i = 0; i < window->items.size(); ++i) {
        const WindowItem& item = window->items[i];
        if (i > 0 && item.code != nullptr) return {std::nullopt, "another site stands where its code would"};
        if (i > 0 && !item.insn.is_nop()) return {std::nullopt, fmt::format("its {} bytes of code do not fit without moving neighbours", (*code)->bytes.size())};
    }
    Draft draft{Technique::inline_code, Entry::in_place, std::move(*window), {}, {}, {}};
    draft.window.evidence.push_back(fmt::format("{} bytes of code in {} bytes of room", (*code)->bytes.size(), draft.window.size()));
    return {std::move(draft), {}};
}

}  // namespace trapline::patch
