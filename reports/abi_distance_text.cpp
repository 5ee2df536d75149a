// SPDX-License-Identifier: Apache-2.0
// Words and markup for an AbiDistance.
#include "reports/abi_distance_text.h"

#include <array>
#include <fmt/format.h>
#include <map>
#include <string_view>

#include "reports/tally.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

/// The fits in the order of the document, and their labels.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kFits = {{
    {"exact", "exact"},
    {"partial", "partial"},
    {"unneeded", "unneeded"},
    {"none", "without equivalent"},
}};

std::string operation_name(const AbiDistanceRow& row) { return row.operation.empty() ? "(form unknown to the database)" : row.operation; }

/// "get_flags 483, write_cr 20 and 3 more": operations of one fit, entries of one operation together.
std::string operations_of(const AbiDistance& distance, std::string_view fit) {
    constexpr std::size_t kNamed = 2;  // more would pass the summary's width
    std::map<std::string, std::uint64_t> counts;
    for (const AbiDistanceRow& row : distance.rows)
        if (row.fit == fit) counts[operation_name(row)] += row.sites();
    const auto sorted = most_first(counts);
    std::string text;
    for (std::size_t i = 0; i < sorted.size() && i < kNamed; ++i)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", printable(sorted[i].first), grouped(sorted[i].second));
    if (sorted.size() > kNamed) text += fmt::format(" and {} more", sorted.size() - kNamed);
    return text;
}

std::string skipped_parts(const AbiDistance& distance) {
    std::string text;
    for (const std::string& part : distance.skipped_parts) text += (text.empty() ? "" : " and ") + printable(part);
    return text;
}

}  // namespace

std::string distance_heading(const AbiDistance& distance) {
    return fmt::format("Distance to a {} port ({} {}): {} site{}", printable(distance.name), printable(distance.abi), printable(distance.version),
                       grouped(distance.sites()), distance.sites() == 1 ? "" : "s");
}

std::vector<DistanceLine> distance_totals(const AbiDistance& distance) {
    std::vector<DistanceLine> lines;
    for (const auto& [fit, label] : kFits) {
        const AbiDistanceRow total = distance.total(fit);
        std::string remark = fmt::format("{} critical", grouped(total.critical));
        if (total.sites() != 0) remark += "; " + operations_of(distance, fit);
        lines.push_back({std::string(label), total.sites(), std::move(remark)});
    }
    if (distance.skipped_sites != 0) lines.push_back({"never run", distance.skipped_sites, fmt::format("in {}, which such a guest does not start with", skipped_parts(distance))});
    return lines;
}

std::vector<DistanceLine> distance_gaps(const AbiDistance& distance) {
    std::vector<DistanceLine> lines;
    for (const AbiDistanceRow& row : distance.rows)
        if (row.fit == "none") lines.push_back({printable(operation_name(row)), row.sites(), printable(row.note)});
    return lines;
}

std::string render_distance_html(const AbiDistance& distance) {
    std::string out = fmt::format("<h3>{}</h3>\n<p>", html_text(distance_heading(distance)));
    for (const DistanceLine& line : distance_totals(distance)) out += fmt::format("{}: <b>{}</b> ({}). ", html_text(line.label), grouped(line.count), html_text(line.remark));
    out += "</p>\n";
    if (distance.rows.empty()) return out;
    const std::string caption = html_text("Operations and what " + distance.name + " has for them");
    out += fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption class=\"hidden\">{0}</caption><thead><tr>"
                       "<th scope=\"col\">Operation</th><th scope=\"col\">Fit</th><th scope=\"col\" class=\"number\">Critical</th>"
                       "<th scope=\"col\" class=\"number\">Privileged</th><th scope=\"col\">Stands in</th><th scope=\"col\">What differs</th></tr></thead><tbody>\n",
                       caption);
    for (const AbiDistanceRow& row : distance.rows)
        out += fmt::format("<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>\n",
                           html_text(operation_name(row)), html_text(row.fit), grouped(row.critical), grouped(row.privileged),
                           row.call.empty() ? "" : "<code>" + html_text(row.call) + "</code>", html_text(row.note));
    return out + "</tbody></table></div>\n";
}

}  // namespace trapline::reports
