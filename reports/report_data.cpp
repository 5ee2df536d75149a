// SPDX-License-Identifier: Apache-2.0
// Field order must match `site` and `fn` in templates/report.js.
#include "reports/report_data.h"

#include <fmt/format.h>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "reports/json_document.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

/// Stores each distinct string once, made printable: the script sets it as text and shows what is there.
class Strings {
public:
    Strings() { index_of(""); }
    std::size_t index_of(const std::string& text) {
        const auto [place, added] = indices_.try_emplace(text, list_.size());
        if (added) list_.push_back(printable(text));
        return place->second;
    }
    Json take() { return Json(std::move(list_)); }

private:
    std::unordered_map<std::string, std::size_t> indices_;
    std::vector<std::string> list_;
};

/// Finds the planned site of a finding. A plan follows the order of the findings, so one look forward mostly suffices;
/// a plan read from a file may not, so the look goes by place.
class PlannedSites {
public:
    explicit PlannedSites(const PlanDocument* plan) {
        if (plan == nullptr) return;
        for (const PlannedSite& site : plan->sites) sites_.try_emplace(key(site.part, site.section, site.address, site.symbol, site.bytes), &site);
    }
    const PlannedSite* find(const Finding& finding) const {
        const auto found = sites_.find(key(finding.part, finding.section, finding.address, finding.symbol, finding.bytes));
        return found == sites_.end() ? nullptr : found->second;
    }

private:
    // Sections of a relocatable file share names and addresses: symbol and bytes tell their sites apart, mostly.
    static std::string key(const std::string& part, const std::string& section, std::uint64_t address, const std::string& symbol, const std::vector<std::uint8_t>& bytes) {
        return fmt::format("{}\n{}\n{:x}\n{}\n{}", part, section, address, symbol, to_hex(bytes));
    }
    std::unordered_map<std::string, const PlannedSite*> sites_;
};

unsigned flags_of(const Finding& finding) {
    unsigned flags = finding.critical ? 1 : 0;
    if (finding.control_sensitive) flags |= 2;
    if (finding.behavior_sensitive == "mode" || finding.behavior_sensitive == "both") flags |= 4;
    if (finding.behavior_sensitive == "location" || finding.behavior_sensitive == "both") flags |= 8;
    if (traps(finding)) flags |= 16;
    return flags;
}

std::string context_text(const Finding& finding) {
    std::string text;
    for (const FindingContext& context : finding.context)
        text += (text.empty() ? "" : "; ") + context.kind + (context.detail.empty() ? "" : " " + context.detail);
    return text;
}

std::string source_text(const Finding& finding) {
    if (finding.source_file.empty()) return {};
    return finding.source_line == 0 ? finding.source_file : fmt::format("{}:{}", finding.source_file, finding.source_line);
}

}  // namespace

std::string make_report_data(const ScanDocument& scan, const PlanDocument* plan, const Tally& counts) {
    Strings strings;
    const PlannedSites planned(plan);
    std::string sites, functions;
    for (const Finding& finding : scan.findings) {
        const PlannedSite* site = planned.find(finding);
        sites += fmt::format("{}[\"{:x}\",{},{},{},{},\"{}\",{},{},{},{},{},{},{},{},{},{},{}]", sites.empty() ? "" : ",\n", finding.address,
                             strings.index_of(section_label(finding.part, finding.section)), strings.index_of(finding.symbol), finding.symbol_offset,
                             strings.index_of(finding.decode_mode), to_hex(finding.bytes), strings.index_of(finding.text),
                             strings.index_of(finding.mnemonic), strings.index_of(finding.form), strings.index_of(finding.privileged), flags_of(finding),
                             static_cast<unsigned>(finding.evidence), strings.index_of(context_text(finding)), strings.index_of(source_text(finding)),
                             site ? strings.index_of(site->operation) : 0, site ? strings.index_of(std::string(to_string(site->technique))) : 0, site ? strings.index_of(site->why) : 0);
    }
    for (const FunctionCount& function : counts.functions) {
        std::string mnemonics;
        for (const auto& [mnemonic, count] : most_first(function.mnemonics))
            mnemonics += fmt::format("{}{} {}", mnemonics.empty() ? "" : ", ", mnemonic, count);
        functions += fmt::format("{}[{},{},{},{},{}]", functions.empty() ? "" : ",\n", strings.index_of(function.symbol), strings.index_of(function.section),
                                 function.critical, function.findings, strings.index_of(mnemonics));
    }
    return script_safe_json(fmt::format("{{\"strings\":{},\n\"sites\":[{}],\n\"functions\":[{}]}}", one_line(strings.take()), sites, functions));
}

}  // namespace trapline::reports
