// SPDX-License-Identifier: Apache-2.0
// What a run was, where its time went, and by which ways instructions came to the monitor.
#include "reports/run_blocks.h"

#include <algorithm>
#include <fmt/format.h>

#include "reports/markup.h"
#include "reports/run_ways.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

/// Texts of a document are shown up to this length: a command line has 2,048 characters at most, anything longer is made up.
constexpr std::size_t kLongestText = 4096;
std::string shown(const std::string& text) { return fitted(printable(text), kLongestText); }

/// Where the wall time went. The document's parts were measured one by one and need not add up.
struct TimeParts {
    std::uint64_t guest = 0, monitor = 0, idle = 0, rest = 0;
    std::uint64_t sum() const { return saturating_sum(saturating_sum(guest, monitor), saturating_sum(idle, rest)); }
    std::uint64_t busy() const { return saturating_sum(saturating_sum(guest, monitor), rest); }
};
TimeParts time_parts(const RunStatistics& run) {
    TimeParts parts{run.guest, run.monitor, run.idle, 0};
    const std::uint64_t told = parts.sum();
    parts.rest = run.wall > told ? run.wall - told : 0;
    return parts;
}

std::string time_detail(const TimeParts& parts, bool idle) {
    std::string text = fmt::format("guest {}, monitor {}", readable_duration(parts.guest), readable_duration(parts.monitor));
    if (idle) text += ", idle " + readable_duration(parts.idle);
    if (parts.rest != 0) text += ", not told apart " + readable_duration(parts.rest);
    return text;
}

std::string time_bar(const TimeParts& parts, bool idle, std::uint64_t whole) {
    return bar_cell({{"guest-time", share(parts.guest, whole)}, {"monitor-time", share(parts.monitor, whole)}, {"rest-time", share(parts.rest, whole)},
                     {"idle-time", idle ? share(parts.idle, whole) : 0}}, time_detail(parts, idle));
}

constexpr std::string_view kTimeLegend = "<p class=\"legend\"><span class=\"key guest-time\"></span>guest <span class=\"key monitor-time\"></span>monitor "
                                         "<span class=\"key rest-time\"></span>not told apart <span class=\"key idle-time\"></span>idle</p>\n";

/// Bars of the mnemonics with the most of one figure.
std::string mnemonic_bars(const std::vector<RunMnemonic>& all, std::uint64_t RunCount::*member, bool time) {
    constexpr std::size_t kRows = 20;
    std::vector<const RunMnemonic*> order;
    for (const RunMnemonic& one : all)
        if (total(one.arrivals).*member != 0) order.push_back(&one);
    std::stable_sort(order.begin(), order.end(), [&](const RunMnemonic* a, const RunMnemonic* b) { return total(a->arrivals).*member > total(b->arrivals).*member; });
    if (order.empty()) return "<p>None.</p>\n";
    const std::uint64_t most = total(order.front()->arrivals).*member;
    std::string out = time ? open_bars("Time in the monitor by mnemonic", "Mnemonic", "Time by way", {{"Time", true}, {"Each", true}})
                           : open_bars("Executions by mnemonic", "Mnemonic", "Executions by way", {{"Executions", true}});
    for (std::size_t i = 0; i < order.size() && i < kRows; ++i) {
        const RunCount sum = total(order[i]->arrivals);
        out += "<tr>" + row_head(shown(order[i]->mnemonic)) + way_bar(order[i]->arrivals, member, most);
        out += time ? figure_cell(readable_duration(sum.nanoseconds)) + figure_cell(each_arrival(order[i]->arrivals)) : number_cell(sum.count);
        out += "</tr>\n";
    }
    out += kCloseBars;
    if (order.size() > kRows) out += fmt::format("<p>{} more mnemonics are in the document.</p>\n", order.size() - kRows);
    return out;
}

}  // namespace

std::string render_run_cards(const RunStatistics& run, const RunTally& counts) {
    const TimeParts parts = time_parts(run);
    std::uint64_t signals = 0;
    for (const auto& [name, count] : run.exits)
        if (name == "signals") signals = count;
    const bool good = run.ending == "power-off" || run.ending == "halted" || run.ending == "reset" || (run.ending == "debug-exit" && run.code <= 1);
    std::string out = card(good ? "good" : "bad", run.ending, "ending of the run");
    out += card("", readable_duration(run.wall), fmt::format("wall time, {} of it idle", percentage(parts.idle, parts.sum())));
    out += card("", percentage(parts.guest, parts.busy()), "of the busy time in the guest");
    out += card("", grouped(counts.total.count), "sensitive instructions came to the monitor");
    out += card("", grouped(signals), "exits by signal");
    out += card("", grouped(counts.sites.size()), fmt::format("site{} executed", plural(counts.sites.size())));
    return out;
}

std::string render_run_facts(const RunStatistics& run) {
    std::string layers;
    for (const std::string& layer : run.containment) layers += (layers.empty() ? "" : ", ") + layer;
    const bool coded = run.ending == "debug-exit";
    std::string out = "<dl class=\"facts\">\n";
    out += fact("Image", shown(run.image));
    out += fact("SHA-256", run.sha256, true);
    out += fact("Entered by", shown(run.protocol));
    out += fact("Technique", run.technique);
    out += fact("Memory", fmt::format("{} ({} bytes)", readable_size(run.memory), grouped(run.memory)));
    out += fact("Sandbox", layers.empty() ? "none" : layers);
    out += fact("Ending", run.ending + (coded ? fmt::format(", code {}", run.code) : "") + (run.detail.empty() ? "" : ": " + shown(run.detail)));
    out += fact("Command line", shown(run.command_line), true);
    return out + "</dl>\n";
}

std::string render_run_time(const RunStatistics& run) {
    const TimeParts parts = time_parts(run);
    if (parts.sum() == 0) return "<p>The document has no times.</p>\n";
    std::string out(kTimeLegend);
    out += open_bars("Wall time", "Span", "Parts", {{"Time", true}});
    out += "<tr>" + row_head("the run", false) + time_bar(parts, true, parts.sum()) + figure_cell(readable_duration(run.wall)) + "</tr>\n";
    if (parts.idle != 0 && parts.busy() != 0)
        out += "<tr>" + row_head("without idle", false) + time_bar(parts, false, parts.busy()) + figure_cell(readable_duration(parts.busy())) + "</tr>\n";
    out += kCloseBars;
    out += open_table("Wall time by part", {{"Part"}, {"Time", true}, {"Of all", true}, {"Of busy", true}, {"Meaning"}});
    const auto row = [&](std::string_view name, std::uint64_t time, bool busy, std::string_view meaning) {
        out += "<tr>" + row_head(name, false) + figure_cell(readable_duration(time)) + figure_cell(percentage(time, parts.sum())) +
               figure_cell(busy ? percentage(time, parts.busy()) : "") + fmt::format("<td class=\"prose\">{}</td></tr>\n", meaning);
    };
    row("guest", parts.guest, true, "the guest's code on the processor, with the host's part of each exit: faults, signals, mappings");
    row("monitor", parts.monitor, true, "the monitor: interpreting, filling the virtual TLB, devices, delivering events");
    row("idle", parts.idle, false, "the guest's processor was halted, or with --technique hypercall waited for its plan");
    row("not told apart", parts.rest, true, "too short to be measured one by one");
    return out + std::string(kCloseTable);
}

std::string render_run_comparison(const std::vector<ReportRun>& runs) {
    std::uint64_t longest = 0;
    for (const ReportRun& run : runs) longest = std::max(longest, time_parts(*run.statistics).sum());
    std::string out(kTimeLegend);
    out += open_bars("Wall time of the runs", "Run", "Parts", {{"Wall", true}});
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const TimeParts parts = time_parts(*runs[i].statistics);
        out += "<tr>" + row_head(fmt::format("{}: {}", i + 1, runs[i].statistics->technique), false) + time_bar(parts, true, longest) + figure_cell(readable_duration(runs[i].statistics->wall)) + "</tr>\n";
    }
    out += kCloseBars;
    out += open_table("Runs side by side", {{"Run"}, {"Document"}, {"Technique"}, {"Ending"}, {"Wall", true}, {"Guest", true}, {"Monitor", true}, {"Idle", true}, {"Trap", true},
                                            {"Breakpoint", true}, {"Hypercall", true}, {"Interpreted", true}});
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const RunStatistics& run = *runs[i].statistics;
        out += fmt::format("<tr><th scope=\"row\"><a href=\"#run-{0}\">{0}</a></th>", i + 1) + code_cell(fitted(printable(runs[i].name), 200)) + cell(html_text(run.technique)) + cell(html_text(run.ending));
        for (const std::uint64_t time : {run.wall, run.guest, run.monitor, run.idle}) out += figure_cell(readable_duration(time));
        for (const RunCount& way : run.arrivals) out += number_cell(way.count);
        out += "</tr>\n";
    }
    return out + std::string(kCloseTable);
}

std::string render_run_ways(const RunStatistics& run) {
    const RunCount sum = total(run.arrivals);
    if (sum.count == 0) return "<p>No sensitive instruction came to the monitor.</p>\n";
    std::string out = open_table("Sensitive instructions by the way they came", {{"Way"}, {"Count", true}, {"Of all", true}, {"Time", true}, {"Of all", true}, {"Each", true}, {"Meaning"}});
    const auto row = [&](std::string_view head, const RunCount& one, const std::string& each, std::string_view meaning) {
        out += fmt::format("<tr><th scope=\"row\" class=\"way\">{}</th>", head) + number_cell(one.count) + figure_cell(percentage(one.count, sum.count)) + figure_cell(readable_duration(one.nanoseconds)) +
               figure_cell(percentage(one.nanoseconds, sum.nanoseconds)) + figure_cell(each) +
               fmt::format("<td class=\"prose\">{}</td></tr>\n", meaning);
    };
    for (std::size_t i = 0; i < run.arrivals.size(); ++i) {
        RunCounts only;
        only[i] = run.arrivals[i];
        row(fmt::format("<span class=\"key {}\"></span>{}", kWayClasses[i], kRunArrivals[i]), run.arrivals[i], each_arrival(only), kWayMeanings[i]);
    }
    row("all", sum, each_arrival(run.arrivals), "times are the monitor's: what the host needs for a signal is in the guest's time");
    return out + std::string(kCloseTable);
}

std::string render_run_mnemonics(const RunStatistics& run) {
    if (run.mnemonics.empty()) return {};
    return way_legend() + "<div class=\"split even\"><div><h4>Executions</h4>\n" + mnemonic_bars(run.mnemonics, &RunCount::count, false) + "</div><div><h4>Time in the monitor</h4>\n" +
           mnemonic_bars(run.mnemonics, &RunCount::nanoseconds, true) + "</div></div>\n";
}

}  // namespace trapline::reports
