// SPDX-License-Identifier: Apache-2.0
// Counting and the text; the markup is in technique_markup.cpp.
#include "reports/technique_table.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

/// Of a bzImage the part that is the kernel.
constexpr std::string_view kKernelPart = "payload";

bool is_in(SiteGroup group, const PlannedSite& site) {
    switch (group) {
        case SiteGroup::pushf_popf: return site.mnemonic.starts_with("pushf") || site.mnemonic.starts_with("popf");
        case SiteGroup::cli_sti: return site.mnemonic == "cli" || site.mnemonic == "sti";
        case SiteGroup::critical: return site.critical;
        case SiteGroup::flag_related: return site.critical || is_flag_related(site.mnemonic);
    }
    return false;
}

/// Whether the site is reached by a jump, or not run by a processor at all; by hand nothing has been done yet.
bool is_without_trap(Technique technique) {
    switch (technique) {
        case Technique::inline_code:
        case Technique::direct:
        case Technique::absorb:
        case Technique::springboard:
        case Technique::translate:
        case Technique::interpret: return true;
        case Technique::breakpoint:
        case Technique::watch:
        case Technique::trap:
        case Technique::by_hand:
        case Technique::unplanned: return false;
    }
    return false;
}

class Counter {
public:
    void add(const PlannedSite& site) {
        TechniqueCount& count = counts_[site.technique];
        const bool related = is_flag_related(site.mnemonic);
        ++count.sites, ++part_.sites;
        if (site.critical) ++count.critical, ++part_.critical;
        if (related) ++count.flag_related, ++part_.flag_related;
        if (site.technique == Technique::watch) return;  // it may be data: no share is of it
        for (std::size_t i = 0; i < kAllSiteGroups.size(); ++i) {
            if (!is_in(kAllSiteGroups[i], site)) continue;
            GroupCount& group = part_.groups[i];
            ++group.sites;
            if (site.technique != Technique::unplanned) ++group.covered;
            if (site.technique == Technique::breakpoint) ++group.breakpoints;
            if (is_without_trap(site.technique)) ++group.without_trap;
        }
    }
    PartTechniques take(std::string part, std::string architecture) {
        part_.part = std::move(part);
        part_.architecture = std::move(architecture);
        for (std::size_t i = 0; i < kAllSiteGroups.size(); ++i) part_.groups[i].group = kAllSiteGroups[i];
        for (const Technique technique : kAllTechniques)
            if (const auto found = counts_.find(technique); found != counts_.end()) {
                part_.techniques.push_back(found->second);
                part_.techniques.back().technique = technique;
            }
        const GroupCount &flags = part_.groups[0], &critical = part_.groups[2], &related = part_.groups[3];
        // The goal on PUSHF and POPF is about breakpoints; what nothing fits is no better than one.
        const std::uint64_t on_one = flags.breakpoints + (flags.sites - flags.covered);
        part_.goals = {{{"critical sites covered", 100, true, critical.covered, critical.sites},
                        {"critical or IF-related sites on a breakpoint", 0.5, false, related.breakpoints, related.sites},
                        {"pushf/popf without a breakpoint", 99, true, flags.sites - on_one, flags.sites}}};
        return std::move(part_);
    }

private:
    PartTechniques part_;
    std::map<Technique, TechniqueCount> counts_;
};

std::string e9patch_cell(const GroupCount& group, const PartTechniques& part) {
    if (group.group == SiteGroup::flag_related || part.architecture.empty()) return "";
    if (part.architecture != "x86_64") return "unsupported";
    const auto share = e9patch_share(group.group, part);
    return share ? fmt::format("{:.1f} %", *share) : "";
}

std::string text_of(const PartTechniques& part, std::string_view title, bool written) {
    std::string out = fmt::format("{}\n  {:<24}{:>9}{:>9}{:>11}{:>9}{:>12}{:>9}\n", title, "technique", "sites", "", "critical", "", "IF-related", "");
    const auto row = [&](std::string_view name, std::uint64_t sites, std::uint64_t critical, std::uint64_t related) {
        out += fmt::format("  {:<24}{:>9}{:>9}{:>11}{:>9}{:>12}{:>9}\n", name, grouped(sites), percentage(sites, part.sites), grouped(critical),
                           percentage(critical, part.critical), grouped(related), percentage(related, part.flag_related));
    };
    for (const TechniqueCount& count : part.techniques) row(to_string(count.technique), count.sites, count.critical, count.flag_related);
    row("all", part.sites, part.critical, part.flag_related);
    out += fmt::format("\n  {:<24}{:>9}{:>11}{:>15}{:>15}{:>14}\n", "group", "sites", "covered", "without trap", "E9Patch *", "breakpoint");
    for (const GroupCount& group : part.groups)
        out += fmt::format("  {:<24}{:>9}{:>11}{:>15}{:>15}{:>14}\n", to_string(group.group), grouped(group.sites), percentage(group.covered, group.sites),
                           percentage(group.without_trap, group.sites), e9patch_cell(group, part), percentage(group.breakpoints, group.sites));
    out += "\n";
    for (const TechniqueGoal& goal : part.goals)
        if (written)
            out += fmt::format("  goal: {:<46} {} {:>5.1f} %: {:>8}  {}\n", goal.what, goal.at_least ? "at least" : "at most ", goal.wanted, percentage(goal.part, goal.whole),
                               goal.whole == 0 ? "nothing to reach" : goal.met() ? "met" : "NOT MET");
    return out + (written ? "\n" : "");
}

}  // namespace

std::string_view to_string(SiteGroup group) {
    switch (group) {
        case SiteGroup::pushf_popf: return "pushf/popf";
        case SiteGroup::cli_sti: return "cli/sti";
        case SiteGroup::critical: return "all critical";
        case SiteGroup::flag_related: return "critical or IF-related";
    }
    return "unknown";
}

bool is_flag_related(std::string_view mnemonic) {
    constexpr std::string_view kStems[] = {"pushf", "popf", "iret"};
    return mnemonic == "cli" || mnemonic == "sti" ||
           std::any_of(std::begin(kStems), std::end(kStems), [&](std::string_view stem) { return mnemonic.starts_with(stem); });
}

bool TechniqueGoal::met() const {
    if (whole == 0) return true;
    // Exact: 199 of 200 is not 99.9 % because it prints as such.
    const double share = 100.0 * static_cast<double>(part), limit = wanted * static_cast<double>(whole);
    return at_least ? share >= limit : share <= limit;
}

TechniqueTable technique_table(const PlanDocument& plan) {
    TechniqueTable table;
    table.written = !plan.patches.empty();
    std::map<std::string, Counter> parts;
    Counter all;
    for (const PlannedSite& site : plan.sites) {
        parts[site.part].add(site);
        all.add(site);
    }
    for (const PlanImage& image : plan.parts)
        if (const auto found = parts.find(image.part); found != parts.end()) table.parts.push_back(found->second.take(image.part, image.architecture));
    table.all = all.take("", table.parts.size() == 1 ? table.parts[0].architecture : "");
    return table;
}

const PartTechniques& TechniqueTable::kernel() const {
    const auto found = std::find_if(parts.begin(), parts.end(), [](const PartTechniques& part) { return part.part == kKernelPart; });
    return found == parts.end() ? all : *found;
}

std::optional<double> e9patch_share(SiteGroup group, const PartTechniques& part) {
    if (part.architecture != "x86_64" || (!part.part.empty() && part.part != kKernelPart)) return std::nullopt;
    switch (group) {
        case SiteGroup::pushf_popf: return 82.0;
        case SiteGroup::cli_sti: return 80.0;
        case SiteGroup::critical: return 98.0;
        case SiteGroup::flag_related: return std::nullopt;
    }
    return std::nullopt;
}

std::string render_technique_text(const TechniqueTable& table) {
    if (table.all.sites == 0) return "Nothing is to be patched.\n";
    std::string out;
    if (table.parts.size() > 1)
        for (const PartTechniques& part : table.parts)
            out += text_of(part, fmt::format("By technique: {} ({})", printable(part.part), part.architecture.empty() ? "architecture not kept" : printable(part.architecture)), table.written);
    out += text_of(table.all, table.parts.size() > 1 ? "By technique: all parts" : "By technique", table.written);
    if (!table.written) out += "  Nothing is written: these are intentions, and no goal is judged by them.\n";
    return out + "  * measured on the .text of Debian's 6.1 amd64 kernel, its trap fallback off; beside \"all critical\"\n"
                 "    stands its figure for all sensitive sites. It does not support 32-bit code. The figures of this\n"
                 "    plan are of every section.\n";
}

}  // namespace trapline::reports
