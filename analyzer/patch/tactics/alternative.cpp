// SPDX-License-Identifier: Apache-2.0
// alternative: the kernel copies a replacement over its original at boot. The entry of .altinstructions is pointed at
// JMP rel32 instead, whose stub holds the replacement's code and goes on behind the original.
//
// Safe because: nothing runs the replacement where it stands, and only the code that applies alternatives reads it. The
// original has room for the jump (the kernel fills the rest with NOPs). That code corrects the displacement of a JMP while
// it copies, in every version (Linux arch/x86/kernel/alternative.c: recompute_jump, later apply_relocation), so the copy
// leads to the same stub. Whether the alternative is applied at all stays the kernel's decision: the entry's feature is not
// touched, and the original, as patched, runs where it is not. The stub area must be readable by the guest at boot. Of a module
// the loader fills the entry first, by a relocation that is led to the stub with it.
//
// Why not the operation itself: the kernel copies no more than the original's length. In amd64 that is mostly a
// CALL [rip + pv_ops.x] of 6 bytes (7 with an absolute address, in older kernels), and the shortest store of 0 to the
// vCPU's page has 7: C6 05 rel32 00. That one would be right in the original's place for kernels that do not correct such
// operands while they copy (entries of 12 and 13 bytes), and in the replacement's for those that do; with entries of 14
// bytes there are both.
#include <fmt/format.h>

#include <algorithm>

#include "patch/tactics/tactic.h"

namespace trapline::patch {
namespace {

using image::TableEntry;
using image::TableKind;

/// The entries whose replacement holds a byte.
std::vector<const TableEntry*> find_entries(const image::Image& image, image::SectionIndex section, VirtAddr address) {
    std::vector<const TableEntry*> found;
    // Tables are sorted by section and begin, and a replacement is at most 255 bytes long.
    auto entry = std::partition_point(image.tables.begin(), image.tables.end(), [&](const TableEntry& e) {
        return std::tie(e.section, e.code.begin.value) < std::tuple(section, address.value < 255 ? 0 : address.value - 255);
    });
    for (; entry != image.tables.end() && entry->section == section && entry->code.begin <= address; ++entry)
        if (entry->kind == TableKind::alternative_replacement && entry->code.contains(address)) found.push_back(&*entry);
    return found;
}

/// The length of the original that an entry replaces: 0 when the table does not tell.
std::uint64_t original_length(const image::Image& image, const TableEntry& replacement) {
    for (const TableEntry& entry : image.tables)
        if (entry.kind == TableKind::alternative_original && entry.entry_address == replacement.entry_address && entry.entry_section == replacement.entry_section)
            return entry.code.size();
    return 0;
}

/// A NOP behind an instruction.
WindowItem make_nop(const GuestInstruction& before) {
    static constexpr std::uint8_t kNop[] = {0x90};
    WindowItem item;
    item.insn.place = {before.place.section, before.end()};
    item.insn.address = before.address + before.bytes.size();
    item.insn.mode = before.mode;
    item.insn.bytes = kNop;
    item.insn.structure = decode::parse_structure(decode::OpcodeMaps::generated(), item.insn.bytes, item.insn.mode);
    item.insn.flow.kind = scan::Flow::fallthrough;
    return item;
}

}  // namespace

Proposal propose_alternative(const PlanContext& context, scan::CodePlace site) {
    const image::Image& image = context.facts.image();
    const scan::SectionCode& code = context.facts.sections()[site.section];
    Draft draft{Technique::direct, Entry::alternative, {}, {}, {}, {}};
    draft.alternatives = find_entries(image, code.index, code.address_of(site.offset));
    if (draft.alternatives.empty()) return {std::nullopt, "no entry of .altinstructions has it"};
    const TableEntry& entry = *draft.alternatives.front();
    for (const TableEntry* other : draft.alternatives)
        if (other->code != entry.code || other->peer != entry.peer)
            return {std::nullopt, fmt::format("two alternatives share the replacement at {:#x}", other->code.begin.value)};
    const std::uint64_t length = original_length(image, entry);
    if (length < kJumpBytes) return {std::nullopt, fmt::format("the original at {:#x} has {} bytes, too few for a jump", entry.peer->value, length)};

    Window& window = draft.window;
    window.begin = {site.section, entry.code.begin - code.section->address};
    window.end = window.begin.offset + entry.code.size();
    if (image.relocatable && !context.facts.find_slots(window.begin, window.end).empty()) return {std::nullopt, "a relocation fills a part of the replacement"};
    for (std::uint64_t at = window.begin.offset; at < window.end;) {
        auto insn = read_instruction(context.facts, {site.section, at});
        if (!insn || insn->end() > window.end) return {std::nullopt, fmt::format("no instruction ends the replacement at {:#x}", entry.code.end.value)};
        if (insn->is_rip_relative()) return {std::nullopt, "kernel versions differ in whether they correct a rip-relative operand while they copy"};
        WindowItem item;
        if (const auto number = context.sites.find(insn->place); number != context.sites.end()) {
            const auto found = context.templates.find(*insn, context.planned[number->second].form);
            if (!found) return {std::nullopt, found.error().describe()};
            if (*found == nullptr) return {std::nullopt, "the interface has no code for it"};
            item.code = *found;
            insn->site = number->second;
        } else if (insn->is_nop()) {
            item.dropped = window.items.empty() || window.items.back().code == nullptr;  // a NOP may stand in STI's shadow
        } else if (std::string obstacle = obstacle_to_moving(*insn); !obstacle.empty()) {
            return {std::nullopt, fmt::format("{:#x} cannot move: {}", insn->address, obstacle)};
        }
        // It runs where it is copied to; branch targets are right as they stand in the file.
        insn->address = entry.peer->value + (at - window.begin.offset);
        at = insn->end();
        item.insn = std::move(*insn);
        window.items.push_back(std::move(item));
    }
    if (window.items.empty()) return {std::nullopt, "the replacement is empty"};
    // The kernel fills the rest of the original with NOPs; the first may stand in the shadow of STI.
    if (window.items.back().code != nullptr && entry.code.size() < length) window.items.push_back(make_nop(window.items.back().insn));
    if (!context.room.is_free(window.begin, window.end)) return {std::nullopt, "another patch has taken the room"};
    const scan::Flow last = window.items.back().insn.flow.kind;
    window.falls_through = last == scan::Flow::fallthrough || last == scan::Flow::conditional;
    window.exit_address = entry.peer->value + length;
    window.evidence.push_back(fmt::format("the original at {:#x} has {} bytes, the jump 5; the kernel corrects it while it copies", entry.peer->value, length));
    return {std::move(draft), {}};
}

std::string refuse_inline_replacement(const Draft& draft) {
    const Window& window = draft.window;
    const GuestInstruction& first = window.items.front().insn;
    const std::uint64_t room = window.exit_address - first.address;
    std::uint64_t need = 0;
    for (const WindowItem& item : window.items) {
        if (item.code != nullptr && item.code->source->calls_vmm) return "the operation needs the VMM";
        // NOPs fill the room anyway.
        if (item.code != nullptr) need += item.code->bytes.size();
        else if (!item.insn.is_nop()) need += item.insn.bytes.size();
    }
    if (need <= room) return "its code would fit, but no tactic puts other code than a jump into a replacement";
    std::string why = fmt::format("its {} bytes of code have no room: the kernel copies no more than the {} of the original at {:#x}", need, room, first.address);
    if (need == room + 1 && first.mode == Mode::long64) why += ", and kernel versions differ in whether they correct the rip-relative operand that would save a byte";
    return why;
}

}  // namespace trapline::patch
