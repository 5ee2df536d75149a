// SPDX-License-Identifier: Apache-2.0
// The names of the plan document's words.
#include "patch/plan.h"

#include <algorithm>

namespace trapline {

std::string_view to_string(Technique technique) {
    switch (technique) {
        case Technique::inline_code: return "inline";
        case Technique::direct: return "direct";
        case Technique::absorb: return "absorb";
        case Technique::springboard: return "springboard";
        case Technique::breakpoint: return "breakpoint";
        case Technique::watch: return "watch";
        case Technique::trap: return "trap";
        case Technique::translate: return "translate";
        case Technique::interpret: return "interpret";
        case Technique::by_hand: return "by-hand";
        case Technique::unplanned: return "unplanned";
    }
    return "unknown";
}

std::optional<Technique> parse_technique(std::string_view text) {
    for (const Technique technique : kAllTechniques)
        if (to_string(technique) == text) return technique;
    return std::nullopt;
}

bool is_replacement_offset(const PlanWrite& write) { return write.what == "alternative" && write.new_bytes.size() == 4; }

bool has_patch(Technique technique) {
    switch (technique) {
        case Technique::inline_code:
        case Technique::direct:
        case Technique::absorb:
        case Technique::springboard:
        case Technique::breakpoint: return true;
        case Technique::watch:
        case Technique::trap:
        case Technique::translate:
        case Technique::interpret:
        case Technique::by_hand:
        case Technique::unplanned: return false;
    }
    return false;
}

std::string_view to_string(FixupKind kind) {
    switch (kind) {
        case FixupKind::image_address: return "image-address";
        case FixupKind::image_relative: return "image-relative";
        case FixupKind::stub_address: return "stub-address";
        case FixupKind::fixed_relative: return "fixed-relative";
    }
    return "unknown";
}

std::optional<FixupKind> parse_fixup_kind(std::string_view text) {
    for (const FixupKind kind : kAllFixupKinds)
        if (to_string(kind) == text) return kind;
    return std::nullopt;
}

std::string_view to_string(FlagsLiveness liveness) {
    switch (liveness) {
        case FlagsLiveness::dead: return "dead";
        case FlagsLiveness::live: return "live";
        case FlagsLiveness::unknown: return "unknown";
    }
    return "unknown";
}

std::optional<FlagsLiveness> parse_flags_liveness(std::string_view text) {
    for (const FlagsLiveness liveness : kAllFlagsLiveness)
        if (to_string(liveness) == text) return liveness;
    return std::nullopt;
}

const ReservedRange* find_boot_stubs(const PlanDocument& plan) {
    const auto found = std::find_if(plan.reserved.begin(), plan.reserved.end(), [](const ReservedRange& range) { return range.what == kBootStubRange; });
    return found == plan.reserved.end() ? nullptr : &*found;
}

bool is_boot_stub(const PlanDocument& plan, const PlanStub& stub) {
    const ReservedRange* const range = find_boot_stubs(plan);
    return range != nullptr && stub.address >= range->begin && stub.address < range->end;
}

}  // namespace trapline
