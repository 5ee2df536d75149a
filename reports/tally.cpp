// SPDX-License-Identifier: Apache-2.0
// Grouping and counting; every order is total, so the same document gives the same report.
#include "reports/tally.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace trapline::reports {
namespace {

/// Counts a set and remembers its forms.
class SetCounter {
public:
    void add(const Finding& finding) {
        ++sites_;
        forms_.insert(finding.form);
    }
    SetCount count() const { return {sites_, forms_.size()}; }

private:
    std::uint64_t sites_ = 0;
    std::unordered_set<std::string_view> forms_;
};

SetRegions count_sets(const ScanDocument& document) {
    std::array<SetCounter, 8> regions;
    SetCounter privileged, control, behavior, sensitive, critical;
    for (const Finding& finding : document.findings) {
        unsigned region = 0;
        if (traps(finding)) region |= kPrivilegedSet, privileged.add(finding);
        if (finding.control_sensitive) region |= kControlSet, control.add(finding);
        if (finding.behavior_sensitive != "no") region |= kBehaviorSet, behavior.add(finding);
        if (is_sensitive(finding)) sensitive.add(finding);
        if (finding.critical) critical.add(finding);
        regions[region].add(finding);
    }
    SetRegions sets{{}, privileged.count(), control.count(), behavior.count(), sensitive.count(), critical.count()};
    for (std::size_t i = 0; i < regions.size(); ++i) sets.regions[i] = regions[i].count();
    return sets;
}

std::vector<SectionCount> count_sections(const ScanDocument& document) {
    std::vector<SectionCount> sections;
    for (const SectionSummary& summary : document.sections) sections.push_back({summary, {}, 0});
    const SectionLookup lookup(document);
    for (const Finding& finding : document.findings) {
        const auto index = lookup.find(finding);
        if (!index) continue;
        ++sections[*index].findings;
        if (finding.critical) sections[*index].critical.add(finding.evidence);
    }
    return sections;
}

std::vector<FunctionCount> count_functions(const ScanDocument& document) {
    using Key = std::tuple<std::string_view, std::string_view, std::string_view>;  // part, section, symbol
    std::map<Key, FunctionCount> functions;
    for (const Finding& finding : document.findings) {
        FunctionCount& function = functions[{finding.part, finding.section, finding.symbol}];
        ++function.findings;
        if (!finding.critical) continue;
        ++function.critical;
        ++function.mnemonics[finding.mnemonic];
    }
    std::vector<FunctionCount> sorted;
    for (auto& [key, function] : functions) {
        if (function.critical == 0) continue;
        const auto& [part, section, symbol] = key;
        function.section = section_label(std::string(part), std::string(section));
        function.symbol = symbol;
        sorted.push_back(std::move(function));
    }
    // The map's order, part, section and symbol, stands among equals.
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.critical > b.critical; });
    return sorted;
}

std::vector<DisagreementCount> count_disagreements(const ScanDocument& document) {
    using Key = std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>;
    std::map<Key, DisagreementCount> groups;
    for (const Finding& finding : document.findings) {
        for (const DecoderNote& note : finding.disagreements) {
            DisagreementCount& group = groups[{note.decoder, finding.form, note.says, note.reason}];
            if (group.count++ == 0) {
                group = {note.decoder, finding.form, note.says, note.reason, 1, &finding};
            }
        }
    }
    std::vector<DisagreementCount> sorted;
    for (auto& [key, group] : groups) sorted.push_back(std::move(group));
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return std::tuple(!a.reason.empty(), b.count) < std::tuple(!b.reason.empty(), a.count);
    });
    return sorted;
}

}  // namespace

void EvidenceCounts::add(Evidence evidence) {
    switch (evidence) {
        case Evidence::executed:
        case Evidence::reached: ++reached; return;
        case Evidence::swept: ++swept; return;
        case Evidence::hidden: ++hidden; return;
    }
}

bool is_conditional(const Finding& finding) { return finding.privileged.starts_with("cond:"); }
bool is_sensitive(const Finding& finding) { return finding.control_sensitive || finding.behavior_sensitive != "no"; }
bool traps(const Finding& finding) {
    return finding.privileged == "yes" || (is_conditional(finding) && is_sensitive(finding) && !finding.critical);
}

std::string section_label(const std::string& part, const std::string& section) { return part.empty() ? section : part + ":" + section; }

SectionLookup::SectionLookup(const ScanDocument& document) : document_(document) {
    for (std::size_t i = 0; i < document.sections.size(); ++i) by_name_[{document.sections[i].part, document.sections[i].name}].push_back(i);
}

std::optional<std::size_t> SectionLookup::find(const Finding& finding) const {
    const auto named = by_name_.find({finding.part, finding.section});
    if (named == by_name_.end()) return std::nullopt;
    for (const std::size_t index : named->second) {
        const SectionSummary& section = document_.sections[index];
        if (finding.address >= section.address && finding.address - section.address < section.size) return index;
    }
    return std::nullopt;
}

Tally tally(const ScanDocument& document) {
    Tally tally;
    tally.findings = document.findings.size();
    std::map<std::string_view, EvidenceCounts> mnemonics;
    for (const Finding& finding : document.findings) {
        tally.all.add(finding.evidence);
        if (finding.privileged == "yes") ++tally.privileged_always;
        if (is_conditional(finding)) {
            ++tally.conditional[finding.privileged.substr(5)];
            if (traps(finding)) ++tally.conditional_covered;
        }
        if (finding.behavior_sensitive == "mode") ++tally.behavior_mode;
        if (finding.behavior_sensitive == "location") ++tally.behavior_location;
        if (finding.behavior_sensitive == "both") ++tally.behavior_both;
        if (!finding.disagreements.empty()) ++tally.disagreeing_findings;
        if (!finding.critical) continue;
        tally.critical.add(finding.evidence);
        mnemonics[finding.mnemonic].add(finding.evidence);
        std::set<std::string_view> kinds;
        for (const FindingContext& context : finding.context) kinds.insert(context.kind);
        for (const std::string_view kind : kinds) ++tally.contexts[std::string(kind)];
    }
    for (const auto& [mnemonic, counts] : mnemonics) tally.mnemonics.push_back({std::string(mnemonic), counts});
    std::stable_sort(tally.mnemonics.begin(), tally.mnemonics.end(),
                     [](const auto& a, const auto& b) { return a.critical.total() > b.critical.total(); });
    tally.sets = count_sets(document);
    tally.functions = count_functions(document);
    tally.sections = count_sections(document);
    tally.disagreements = count_disagreements(document);
    return tally;
}

std::vector<std::pair<std::string, std::uint64_t>> most_first(const std::map<std::string, std::uint64_t>& counts) {
    std::vector<std::pair<std::string, std::uint64_t>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    return sorted;
}

PlanTally tally(const PlanDocument& plan) {
    PlanTally tally;
    std::map<std::string_view, OperationCount> operations;
    std::map<std::pair<std::string_view, std::string_view>, LeftCount> left;
    for (const PlannedSite& site : plan.sites) {
        ++tally.techniques[site.technique];
        OperationCount& operation = operations[site.operation];
        ++operation.techniques[site.technique];
        ++operation.sites;
        if (site.critical) {
            ++tally.critical;
            ++tally.critical_techniques[site.technique];
            ++operation.critical;
        }
        if (site.technique != Technique::unplanned) continue;
        LeftCount& group = left[{site.form, site.why}];
        if (group.sites++ == 0) group.example = &site;
        ++tally.left_sites;
        if (site.critical) ++group.critical, ++tally.left_critical;
    }
    for (auto& [name, operation] : operations) {
        operation.operation = name;
        tally.operations.push_back(std::move(operation));
    }
    for (auto& [key, group] : left) {
        group.form = key.first;
        group.why = key.second;
        tally.left.push_back(std::move(group));
    }
    const auto most = [](const auto& a, const auto& b) { return std::tuple(a.critical, a.sites) > std::tuple(b.critical, b.sites); };
    std::stable_sort(tally.operations.begin(), tally.operations.end(), most);
    std::stable_sort(tally.left.begin(), tally.left.end(), most);
    return tally;
}

}  // namespace trapline::reports
