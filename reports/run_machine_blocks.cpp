// SPDX-License-Identifier: Apache-2.0
// Events, exits, memory management and the host's limits of a run.
#include <algorithm>
#include <fmt/format.h>
#include <span>

#include "reports/event_names.h"
#include "reports/markup.h"
#include "reports/run_blocks.h"
#include "reports/run_counters.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

std::uint64_t find_count(const std::vector<std::pair<std::string_view, std::uint64_t>>& counts, std::string_view name) {
    const auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& one) { return one.first == name; });
    return found == counts.end() ? 0 : found->second;
}

std::string counter_table(std::string_view caption, std::span<const RunCounter> names, const std::vector<std::pair<std::string_view, std::uint64_t>>& counts) {
    std::string out = open_table(caption, {{"Counter"}, {"Count", true}, {"Meaning"}});
    for (const RunCounter& counter : names)
        out += "<tr>" + row_head(counter.name) + number_cell(find_count(counts, counter.name)) + fmt::format("<td class=\"prose\">{}</td></tr>\n", counter.meaning);
    return out + std::string(kCloseTable);
}

}  // namespace

std::string render_run_events(const RunStatistics& run) {
    if (run.events.empty()) return "<p>No exception and no interrupt was delivered to the guest.</p>\n";
    std::vector<std::pair<std::uint32_t, std::uint64_t>> events = run.events;
    std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    const double most = static_cast<double>(events.front().second);
    std::string out = open_bars("Events delivered to the guest", "Vector", "Count", {{"Count", true}, {"What"}});
    for (const auto& [vector, count] : events)
        out += "<tr>" + row_head(fmt::format("{} ({:02X}h)", vector, vector), false) + bar_cell({{vector < 32 ? "exception-event" : "interrupt-event", static_cast<double>(count) / most}}, grouped(count)) +
               number_cell(count) + fmt::format("<td class=\"what\">{}</td></tr>\n", html_text(event_name(vector, run.protocol)));
    return out + std::string(kCloseBars);
}

std::string render_run_machine(const RunStatistics& run) {
    const std::uint64_t refused = find_count(run.mmu, "fills_refused");
    std::string out = "<div class=\"split even\"><div><h3>Entries and exits</h3>\n" + counter_table("Entries and exits", kExitCounters, run.exits) + "</div><div><h3>Memory management</h3>\n" +
                      counter_table("Memory management", kMmuCounters, run.mmu) + "</div></div>\n<h3>The host's limits</h3>\n<dl class=\"facts\">\n";
    const RunHost& host = run.host;
    out += fact("Memory of the guest", readable_size(run.memory));
    if (host.peak_memory != 0) out += fact("Resident at once", readable_size(host.peak_memory));
    if (host.mappings != 0) out += fact("Mappings at the end", grouped(host.mappings) + (host.mappings_allowed == 0 ? "" : fmt::format(" of {}, {}", grouped(host.mappings_allowed), percentage(host.mappings, host.mappings_allowed))));
    if (host.overflows != 0) out += fact("Mappings dropped for want of room", fmt::format("{} times: raise vm.max_map_count", grouped(host.overflows)));
    out += fact("Mappings that the host refused", refused == 0 ? "none" : fmt::format("{}", grouped(refused)));
    out += fact("Ended by the host", run.ending == "host-limit" ? (run.detail.empty() ? "yes" : fitted(printable(run.detail), 400)) : "no");
    return out + "</dl>\n";
}

}  // namespace trapline::reports
