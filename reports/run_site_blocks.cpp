// SPDX-License-Identifier: Apache-2.0
// The places that ran: the hottest, by function, and beside the plan of the image.
#include <algorithm>
#include <fmt/format.h>

#include "reports/markup.h"
#include "reports/run_blocks.h"
#include "reports/run_ways.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

constexpr std::size_t kRows = 25;

std::string way_cells(const RunCounts& counts) {
    std::string out;
    for (const RunCount& way : counts) out += number_cell(way.count);
    return out;
}

std::string text_cell(std::string_view text) { return code_cell(fitted(printable(text), 120)); }

/// What is said of a planned site that came by a signal all the same: its patch was not in force, or the plan's own reason
/// for having none.
std::string advice_for(const PlannedSite& site) {
    if (site.patch && site.technique != Technique::breakpoint) return "has a patch, which was not in force";
    std::string text = site.why.empty() ? "It has no patch." : site.why;
    for (const Refusal& refusal : site.refused) text += fmt::format(" {}: {}.", to_string(refusal.technique), refusal.reason);
    return fitted(printable(text), 200);
}

std::string_view meaning(SiteStanding standing) {
    switch (standing) {
        case SiteStanding::listed: return "in the scan, not in the plan";
        case SiteStanding::rewritten: return "other bytes than the image's: the guest rewrites itself there";
        case SiteStanding::unlisted: return "the image's code, in no document";
        case SiteStanding::elsewhere: return "code of others: programs, modules, the decompressor, a relocated kernel";
    }
    return {};
}

std::string technique_rows(const RunTally& counts, const PlanDocument& plan) {
    std::map<Technique, std::uint64_t> planned;
    for (const PlannedSite& site : plan.sites) ++planned[site.technique];
    std::string out = open_table("Executed sites by planned technique", {{"Planned as"}, {"Sites", true}, {"Executed", true}, {"Executions", true}, {"Trap", true}, {"Breakpoint", true},
                                                                         {"Hypercall", true}, {"Interpreted", true}, {"Time", true}});
    const auto row = [&](const std::string& head, const std::string& sites, const ExecutedGroup& group) {
        out += "<tr>" + head + sites + number_cell(group.sites) + number_cell(group.total.count) + way_cells(group.arrivals) + figure_cell(readable_duration(group.total.nanoseconds)) + "</tr>\n";
    };
    for (const Technique technique : kAllTechniques) {
        const auto found = counts.by_technique.find(technique);
        if (planned.find(technique) == planned.end()) continue;
        row(row_head(to_string(technique), false), number_cell(planned[technique]), found == counts.by_technique.end() ? ExecutedGroup{} : found->second);
    }
    for (const auto& [standing, group] : counts.not_planned) row(row_head(fmt::format("not in the plan: {}", meaning(standing)), false), "<td></td>", group);
    return out + std::string(kCloseTable);
}

/// Sites that came by a signal and cost most, as the plan's calibration estimates it.
std::string worth_more(const RunStatistics& run, const RunTally& counts) {
    struct Row {
        const ExecutedSite* site;
        std::uint64_t signals;
        double cycles;  ///< that a patch would have saved
    };
    std::vector<Row> rows;
    for (const ExecutedSite& site : counts.sites) {
        const std::uint64_t signals = by_signal(site.site->arrivals);
        if (signals == 0 || site.planned == nullptr) continue;
        const double gain = std::max(0.0, site.planned->cycles_trap - site.planned->cycles);
        rows.push_back({&site, signals, gain * static_cast<double>(signals)});
    }
    if (rows.empty()) return "<p>No planned site came by a trap or a breakpoint.</p>\n";
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.signals > b.signals; });
    std::string out;
    if (run.technique == "trap" || run.technique == "breakpoint")
        out += fmt::format("<p>This run used no patches (<code>--technique {}</code>): the table says what they would be worth.</p>\n", html_text(run.technique));
    out += open_table("Sites that came by a signal", {{"Address"}, {"Instruction"}, {"Function"}, {"Planned as"}, {"Signals", true}, {"Cycles to save", true}, {"Why"}});
    for (std::size_t i = 0; i < rows.size() && i < kRows; ++i) {
        const PlannedSite& planned = *rows[i].site->planned;
        // Past 2^63 an estimate is none.
        const std::string cycles = rows[i].cycles > 0 && rows[i].cycles < 9e18 ? grouped(static_cast<std::uint64_t>(rows[i].cycles)) : "";
        out += "<tr>" + row_head(hex_address(planned.address)) + text_cell(planned.text) + text_cell(place_of(*rows[i].site)) + cell(to_string(planned.technique)) + number_cell(rows[i].signals) +
               figure_cell(cycles) + fmt::format("<td class=\"prose\">{}</td></tr>\n", html_text(advice_for(planned)));
    }
    out += kCloseTable;
    std::uint64_t rest = 0;
    for (std::size_t i = kRows; i < rows.size(); ++i) rest = saturating_sum(rest, rows[i].signals);
    if (rows.size() > kRows) out += fmt::format("<p>{} more sites came by {} signals.</p>\n", grouped(rows.size() - kRows), grouped(rest));
    return out + "<p>Cycles are the plan's estimate for a trap less that for its technique, times the signals; where the plan has no patch there are none to save. "
                 "A patch is not in force before paging, on pages that code of other rings reaches, where it lies on two pages, and with <code>--technique auto</code> before its site is hot. "
                 "<code>trapline plan --profile-data</code> reads this run: hot sites then choose their room first, and <code>--technique auto</code> patches those that trap.</p>\n";
}

std::string lacking(const RunTally& counts) {
    std::vector<const ExecutedSite*> rows;
    std::uint64_t executions = 0;
    for (const ExecutedSite& site : counts.sites)
        if (site.planned == nullptr) {
            rows.push_back(&site);
            executions = saturating_sum(executions, site.total.count);
        }
    if (rows.empty()) return "<p>None: every place that ran is in the plan.</p>\n";
    std::string out = fmt::format("<p>{} site{} with {} execution{}, {} of all. Breakpoints and the monitor's interpreter handle them.</p>\n", grouped(rows.size()), plural(rows.size()),
                                  grouped(executions), plural(executions), html_text(percentage(executions, counts.total.count)));
    out += open_table("Sites that the plan lacks", {{"Address"}, {"Instruction"}, {"Bytes"}, {"Executions", true}, {"Time", true}, {"What it is"}});
    for (std::size_t i = 0; i < rows.size() && i < kRows; ++i)
        out += "<tr>" + row_head(hex_address(rows[i]->site->address)) + text_cell(text_of(*rows[i])) + code_cell(to_hex(rows[i]->site->bytes)) + number_cell(rows[i]->total.count) +
               figure_cell(readable_duration(rows[i]->total.nanoseconds)) + cell(meaning(rows[i]->standing)) + "</tr>\n";
    out += kCloseTable;
    if (rows.size() > kRows) out += fmt::format("<p>{} more are in the document.</p>\n", grouped(rows.size() - kRows));
    return out;
}

}  // namespace

std::string render_run_sites(const RunTally& counts, std::size_t top) {
    if (counts.sites.empty()) return "<p>No site ran.</p>\n";
    std::string out = way_legend() + open_table("The hottest sites", {{"Address"}, {"Instruction"}, {"Function"}, {"Planned as"}, {"By way"}, {"Executions", true}, {"Time", true}});
    for (std::size_t i = 0; i < counts.sites.size() && i < top; ++i) {
        const ExecutedSite& site = counts.sites[i];
        out += "<tr>" + row_head(hex_address(site.site->address)) + text_cell(text_of(site)) + text_cell(place_of(site)) + cell(site.planned == nullptr ? "" : to_string(site.planned->technique)) +
               way_bar(site.site->arrivals, &RunCount::count, site.total.count) + number_cell(site.total.count) + figure_cell(readable_duration(site.total.nanoseconds)) + "</tr>\n";
    }
    return out + std::string(kCloseTable);
}

std::string render_run_functions(const RunTally& counts) {
    if (counts.functions.empty()) return {};
    std::string out = "<h3>By function</h3>\n" + open_bars("Executions by function", "Function", "Executions", {{"Executions", true}, {"Time", true}, {"Sites", true}});
    const double most = static_cast<double>(counts.functions.front().total.count);
    for (std::size_t i = 0; i < counts.functions.size() && i < kRows; ++i) {
        const ExecutedFunction& function = counts.functions[i];
        out += "<tr>" + row_head(fitted(printable(function.symbol), 60)) + bar_cell({{"hypercall-way", most > 0 ? static_cast<double>(function.total.count) / most : 0}}, grouped(function.total.count)) +
               number_cell(function.total.count) + figure_cell(readable_duration(function.total.nanoseconds)) + number_cell(function.sites) + "</tr>\n";
    }
    out += kCloseBars;
    if (counts.functions.size() > kRows) out += fmt::format("<p>{} more functions ran sensitive instructions.</p>\n", grouped(counts.functions.size() - kRows));
    return out;
}

std::string render_run_plan(const RunStatistics& run, const RunTally& counts, const PlanDocument& plan) {
    return technique_rows(counts, plan) + "<h3>What more would be worth a patch</h3>\n" + worth_more(run, counts) + "<h3>Sites that the plan lacks</h3>\n" + lacking(counts);
}

}  // namespace trapline::reports
