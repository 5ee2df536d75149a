// SPDX-License-Identifier: Apache-2.0
// The choice of technique, in order of preference.
#include "patch/operation.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace trapline::patch {
namespace {

struct Choice {
    Technique technique = Technique::unplanned;
    std::string why;
};

/// Operations that need nothing but the virtual flags word, which a stub of a few instructions can reach.
constexpr std::array<std::string_view, 4> kFlagOperations = {"get_flags", "set_flags", "interrupts_off", "interrupts_on"};

/// Bytes of the shortest jump that reaches any stub: E9 rel32, and E9 rel16 in 16-bit code.
std::size_t jump_bytes(const Finding& site) { return site.mode == "16" ? 3 : 5; }

bool has_context(const Finding& site, std::string_view kind) {
    return std::any_of(site.context.begin(), site.context.end(), [&](const FindingContext& context) { return context.kind == kind; });
}

bool is_conditional(const Finding& site) { return site.privileged.starts_with("cond:"); }
bool is_sensitive(const Finding& site) { return site.control_sensitive || site.behavior_sensitive != "no"; }

/// Says whether the instruction traps without being touched. A conditional one that is sensitive and yet not critical is
/// one whose bit the VMM sets: that is what critical leaves out.
bool traps_by_itself(const Finding& site) {
    return site.privileged == "yes" || (is_conditional(site) && is_sensitive(site) && !site.critical);
}

std::string trap_reason(const Finding& site) {
    if (site.privileged == "yes") return "It is privileged: it traps by itself, and the trap handler emulates it.";
    return fmt::format("It traps by itself because the VMM sets {}.", site.privileged.substr(5));
}

/// Whether the instructions around a site may be moved to a stub with it, and if not, why.
std::string obstacle_to_absorbing(const Finding& site) {
    if (has_context(site, "alternative-replacement"))
        return "It stands in the replacement of an alternative, which the kernel copies elsewhere with its neighbours.";
    if (has_context(site, "alternative-original"))
        return "The kernel may write an alternative over it at boot.";
    if (has_context(site, "exception-table"))
        return "The exception table names its address, and a fault in a stub would miss the fixup.";
    if (has_context(site, "jump-label"))
        return "The kernel itself rewrites this jump label at run time.";
    if (site.symbol.empty()) return "No symbol covers it, so where its function begins and ends is not known.";
    return {};
}

Choice choose(const Finding& site, const isa::Record* record) {
    if (record == nullptr)
        return {Technique::unplanned, fmt::format("The database has no form {}; the scan was made with another version.", site.form)};
    const isa::Virtualization& how = record->virtualization;
    const std::string because = how.why.empty() ? "" : " " + how.why;

    if (site.evidence == Evidence::hidden) {
        // Any byte written here changes the instruction that overlaps this one.
        if (traps_by_itself(site)) return {Technique::trap, trap_reason(site)};
        return {Technique::unplanned, "It shares its bytes with another instruction, so neither can be rewritten alone." + because};
    }
    if (std::find(kFlagOperations.begin(), kFlagOperations.end(), how.hypercall) != kFlagOperations.end())
        return {Technique::inline_code, traps_by_itself(site)
                                             ? "It would trap by itself, but the virtual flags in place cost a thousandth of a trap."
                                             : "The virtual flags stand in for the real ones." + because};
    if (traps_by_itself(site)) return {Technique::trap, trap_reason(site)};
    if (!site.critical)
        return {Technique::trap, fmt::format("It is not sensitive; it traps only if {} makes it, and needs nothing otherwise.",
                                             is_conditional(site) ? site.privileged.substr(5) : "the VMM")};
    if (how.hypercall.empty())
        return {Technique::unplanned, fmt::format("The database names no operation for form {}.", site.form)};
    if (site.bytes.size() >= jump_bytes(site))
        return {Technique::direct, fmt::format("Its {} bytes hold a jump.{}", site.bytes.size(), because)};
    if (const std::string obstacle = obstacle_to_absorbing(site); !obstacle.empty())
        return {Technique::breakpoint, obstacle + because};
    return {Technique::absorb, fmt::format("Its {} bytes hold no jump; its neighbours in {} make room.{}", site.bytes.size(),
                                           site.symbol, because)};
}

/// What a VMM does that cannot have a stub there. INT3 fits wherever any byte may be written.
Technique fallback_of(const Finding& site, Technique technique) {
    if (traps_by_itself(site) || technique == Technique::trap) return Technique::trap;
    return technique == Technique::unplanned ? Technique::unplanned : Technique::breakpoint;
}

/// The files that the plan speaks of. A scan of several parts carries the facts of the last one only (merge_parts).
std::vector<PlanImage> parts_of(const ScanDocument& scan) {
    std::vector<PlanImage> parts;
    for (const SectionSummary& section : scan.sections) {
        if (!parts.empty() && parts.back().part == section.part) continue;
        parts.push_back({section.part, "", "", "", 0, false});
    }
    if (parts.empty()) parts.emplace_back();
    parts.back() = {parts.back().part, scan.sha256, scan.build_id, scan.architecture, scan.size, scan.relocatable};
    return parts;
}

}  // namespace

PlanDocument plan_operations(const ScanDocument& scan, const isa::Database& database) {
    PlanDocument plan;
    plan.image = scan.image;
    plan.sha256 = scan.sha256;
    plan.build_id = scan.build_id;
    plan.parts = parts_of(scan);
    plan.profile = scan.profile;
    plan.database_version = scan.database_version;
    plan.program_version = scan.program_version;
    for (const Finding& finding : scan.findings) {
        if (!finding.critical && finding.privileged == "no") continue;
        const isa::Record* record = database.find_record(finding.form);
        Choice choice = choose(finding, record);
        PlannedSite site;
        site.number = static_cast<std::uint32_t>(plan.sites.size());
        site.address = finding.address;
        site.file_offset = finding.file_offset;
        site.part = finding.part;
        site.section = finding.section;
        site.symbol = finding.symbol;
        site.symbol_offset = finding.symbol_offset;
        site.source_file = finding.source_file;
        site.source_line = finding.source_line;
        site.mode = finding.decode_mode;
        site.text = finding.text;
        site.mnemonic = finding.mnemonic;
        site.form = finding.form;
        if (record != nullptr) site.operation = record->virtualization.hypercall;
        site.technique = choice.technique;
        site.fallback = fallback_of(finding, choice.technique);
        site.why = std::move(choice.why);
        site.bytes = finding.bytes;
        site.critical = finding.critical;
        site.privileged = finding.privileged;
        site.evidence = finding.evidence;
        ++plan.by_technique[std::string(to_string(site.technique))];
        plan.sites.push_back(std::move(site));
    }
    return plan;
}

}  // namespace trapline::patch
