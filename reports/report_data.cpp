// SPDX-License-Identifier: Apache-2.0
// Field order must match `site` and `fn` in templates/site_tables.js and `run` in templates/run_tables.js.
#include "reports/report_data.h"

#include <fmt/format.h>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "reports/json_document.h"
#include "reports/run_blocks.h"
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
    if (finding.behavior_sensitive.empty()) flags |= 32;  // a plan's site: in which way it is sensitive is not known
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

/// Executions of listed sites over all runs, by the finding or planned site that the run was joined with.
class Executions {
public:
    explicit Executions(const std::vector<RunTally>& runs) {
        for (const RunTally& run : runs)
            for (const ExecutedSite& site : run.sites)
                for (const void* key : {static_cast<const void*>(site.finding), static_cast<const void*>(site.planned)})
                    if (key != nullptr) counts_[key] = saturating_sum(counts_[key], site.total.count);
    }
    std::uint64_t of(const Finding& finding, const PlannedSite* planned) const {
        for (const void* key : {static_cast<const void*>(&finding), static_cast<const void*>(planned)})
            if (const auto found = counts_.find(key); found != counts_.end()) return found->second;
        return 0;
    }

private:
    std::unordered_map<const void*, std::uint64_t> counts_;
};

/// The standing of an executed site, as the script words it.
std::string_view name_of(SiteStanding standing) {
    switch (standing) {
        case SiteStanding::listed: return "";
        case SiteStanding::rewritten: return "other bytes than the image's";
        case SiteStanding::unlisted: return "in no document";
        case SiteStanding::elsewhere: return "other code";
    }
    return {};
}

/// Of the text of an instruction: none has a third of that.
constexpr std::size_t kLongestInstruction = 200;

std::string run_rows(const RunTally& run, Strings& strings) {
    std::string rows;
    for (std::size_t i = 0; i < run.sites.size() && i < kEmbeddedRunSites; ++i) {
        const ExecutedSite& site = run.sites[i];
        rows += fmt::format("{}[\"{:x}\",{},{},{},{},\"{}\"", rows.empty() ? "" : ",\n", site.site->address, strings.index_of(fitted(valid_utf8(text_of(site)), kLongestInstruction)), strings.index_of(place_of(site)),
                            strings.index_of(site.planned != nullptr ? std::string(to_string(site.planned->technique)) : std::string()), strings.index_of(std::string(name_of(site.standing))), to_hex(site.site->bytes));
        for (const RunCount& way : site.site->arrivals) rows += fmt::format(",{},{}", way.count, way.nanoseconds);
        rows += "]";
    }
    return rows;
}

}  // namespace

std::string make_report_data(const ReportDataInput& input) {
    Strings strings;
    const PlannedSites planned(input.plan);
    const Executions executions(input.runs);
    std::string sites, functions, runs;
    for (const Finding& finding : input.sites.findings) {
        const PlannedSite* site = planned.find(finding);
        sites += fmt::format("{}[\"{:x}\",{},{},{},{},\"{}\",{},{},{},{},{},{},{},{},{},{},{},{}]", sites.empty() ? "" : ",\n", finding.address,
                             strings.index_of(section_label(finding.part, finding.section)), strings.index_of(finding.symbol), finding.symbol_offset,
                             strings.index_of(finding.decode_mode), to_hex(finding.bytes), strings.index_of(finding.text),
                             strings.index_of(finding.mnemonic), strings.index_of(finding.form), strings.index_of(finding.privileged), flags_of(finding),
                             static_cast<unsigned>(finding.evidence), strings.index_of(context_text(finding)), strings.index_of(source_text(finding)),
                             site ? strings.index_of(site->operation) : 0, site ? strings.index_of(std::string(to_string(site->technique))) : 0, site ? strings.index_of(site->why) : 0,
                             executions.of(finding, site));
    }
    for (const FunctionCount& function : input.counts.functions) {
        std::string mnemonics;
        for (const auto& [mnemonic, count] : most_first(function.mnemonics))
            mnemonics += fmt::format("{}{} {}", mnemonics.empty() ? "" : ", ", mnemonic, count);
        functions += fmt::format("{}[{},{},{},{},{}]", functions.empty() ? "" : ",\n", strings.index_of(function.symbol), strings.index_of(function.section),
                                 function.critical, function.findings, strings.index_of(mnemonics));
    }
    for (const RunTally& run : input.runs) runs += fmt::format("{}[{}]", runs.empty() ? "" : ",\n", run_rows(run, strings));
    return script_safe_json(fmt::format("{{\"strings\":{},\n\"sites\":[{}],\n\"functions\":[{}],\n\"runs\":[{}]}}", one_line(strings.take()), sites, functions, runs));
}

}  // namespace trapline::reports
