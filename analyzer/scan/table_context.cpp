// SPDX-License-Identifier: Apache-2.0
// Looks tables up by address and words what they say.
#include "scan/table_context.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

namespace trapline::scan {
namespace {

/// How far a look goes back over entries that begin before the finding. Kernels have a handful within kMaxSpan; a file
/// made to have millions at one address would otherwise cost their number for each finding.
constexpr std::size_t kMaxLook = 512;

/// Names the peer's part, or nothing for kinds whose peer means nothing to a reader.
std::string_view peer_role(image::TableKind kind) {
    switch (kind) {
        case image::TableKind::alternative_replacement: return "for";
        case image::TableKind::exception_table: return "fixup";
        case image::TableKind::jump_label: return "target";
        case image::TableKind::static_call: return "key";
        case image::TableKind::alternative_original: return "replaced by";
        case image::TableKind::paravirt_site:
        case image::TableKind::smp_lock:
        case image::TableKind::retpoline_site:
        case image::TableKind::return_site:
        case image::TableKind::call_site:
        case image::TableKind::ibt_endbr:
        case image::TableKind::static_call_trampoline:
        case image::TableKind::function_trace:
        case image::TableKind::bug:
        case image::TableKind::interrupt_gate:
            return "";
    }
    return "";
}

/// Says whether readers of a finding are told. The others matter to who moves code: a traced or trapping instruction is
/// never a finding itself, and what is in a trampoline is a jump.
bool bears_on_findings(image::TableKind kind) {
    switch (kind) {
        case image::TableKind::alternative_original:
        case image::TableKind::alternative_replacement:
        case image::TableKind::paravirt_site:
        case image::TableKind::exception_table:
        case image::TableKind::jump_label:
        case image::TableKind::smp_lock:
        case image::TableKind::retpoline_site:
        case image::TableKind::return_site:
        case image::TableKind::call_site:
        case image::TableKind::ibt_endbr:
        case image::TableKind::static_call: return true;
        case image::TableKind::static_call_trampoline:
        case image::TableKind::function_trace:
        case image::TableKind::bug:
        case image::TableKind::interrupt_gate: return false;
    }
    return false;
}

std::string detail_of(const image::TableEntry& entry) {
    std::string detail;
    if (entry.peer && !peer_role(entry.kind).empty())
        detail = fmt::format("{} 0x{:x}", peer_role(entry.kind), entry.peer->value);
    const std::string said = image::to_text(entry.detail);
    if (!said.empty()) detail += (detail.empty() ? "" : ", ") + said;
    return detail;
}

}  // namespace

TableContext::TableContext(const image::Image& image) : image_(&image) {
    for (const image::TableEntry& entry : image.tables)
        if (bears_on_findings(entry.kind) && entry.code.begin < entry.code.end && entry.code.size() <= kMaxSpan) entries_.push_back(&entry);
    const auto key = [](const image::TableEntry* entry) { return std::tuple(entry->section, entry->code.begin); };
    if (!std::is_sorted(entries_.begin(), entries_.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); }))
        std::stable_sort(entries_.begin(), entries_.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); });
}

std::vector<FindingContext> TableContext::at(image::SectionIndex section, VirtAddr begin, VirtAddr end) const {
    std::vector<const image::TableEntry*> hits;
    auto entry = std::partition_point(entries_.begin(), entries_.end(), [&](const image::TableEntry* e) {
        return e->section < section || (e->section == section && e->code.begin < end);
    });
    for (std::size_t looked = 0; entry != entries_.begin() && looked < kMaxLook; ++looked) {
        const image::TableEntry* candidate = *--entry;
        if (candidate->section != section || begin.value - std::min(begin.value, candidate->code.begin.value) > kMaxSpan) break;
        if (candidate->code.end > begin) hits.push_back(candidate);
    }
    std::reverse(hits.begin(), hits.end());

    std::vector<FindingContext> context;
    for (const image::TableEntry* hit : hits) {
        FindingContext item{std::string(to_string(hit->kind)), detail_of(*hit)};
        const bool repeated = std::any_of(context.begin(), context.end(), [&](const FindingContext& other) {
            return other.kind == item.kind && other.detail == item.detail;
        });
        if (!repeated && context.size() < kMaxEntries) context.push_back(std::move(item));
    }
    if (image_->sections[section].name.starts_with(".init.")) context.push_back({"init", ""});
    return context;
}

TableContext::Place TableContext::runs_at(image::SectionIndex section, VirtAddr address) const {
    auto entry = std::partition_point(entries_.begin(), entries_.end(), [&](const image::TableEntry* e) {
        return e->section < section || (e->section == section && e->code.begin <= address);
    });
    for (std::size_t looked = 0; entry != entries_.begin() && looked < kMaxLook; ++looked) {
        const image::TableEntry& candidate = **--entry;
        if (candidate.section != section || address - candidate.code.begin > kMaxSpan) break;
        if (candidate.kind != image::TableKind::alternative_replacement || !candidate.code.contains(address) || !candidate.peer) continue;
        return {candidate.peer_section, *candidate.peer + (address - candidate.code.begin)};
    }
    return {section, address};
}

}  // namespace trapline::scan
