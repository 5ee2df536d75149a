// SPDX-License-Identifier: Apache-2.0
// The technique table as markup; every text that is not a literal goes through html_text.
#include <fmt/format.h>

#include "reports/markup.h"
#include "reports/technique_table.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

std::string share_cell(std::uint64_t part, std::uint64_t whole) { return figure_cell(percentage(part, whole)); }

std::string technique_rows(const PartTechniques& part) {
    std::string out = open_table("Sites by technique", {{"Technique"}, {"Sites", true}, {"%", true}, {"Critical", true}, {"%", true}, {"IF-related", true}, {"%", true}});
    const auto row = [&](std::string_view name, std::uint64_t sites, std::uint64_t critical, std::uint64_t related) {
        out += fmt::format("<tr><th scope=\"row\">{}</th>{}{}{}{}{}{}</tr>\n", name, number_cell(sites), share_cell(sites, part.sites), number_cell(critical),
                           share_cell(critical, part.critical), number_cell(related), share_cell(related, part.flag_related));
    };
    for (const TechniqueCount& count : part.techniques) row(to_string(count.technique), count.sites, count.critical, count.flag_related);
    row("all", part.sites, part.critical, part.flag_related);
    return out + std::string(kCloseTable);
}

/// A bar of the share without a trap, and the figure of the peer as text beside it.
std::string group_rows(const PartTechniques& part) {
    std::string out = "<table class=\"bars\"><caption>Patched without a trap or a breakpoint</caption><thead class=\"hidden\"><tr><th scope=\"col\">Group</th>"
                      "<th scope=\"col\">Share</th><th scope=\"col\">Share, sites, E9Patch</th></tr></thead><tbody>\n";
    for (const GroupCount& group : part.groups) {
        if (group.sites == 0) continue;
        const double share = 100.0 * static_cast<double>(group.without_trap) / static_cast<double>(group.sites);
        const auto peer = e9patch_share(group.group, part);
        const std::string detail = fmt::format("{} of {} sites, {} on a breakpoint, {} covered", grouped(group.without_trap), grouped(group.sites), grouped(group.breakpoints), grouped(group.covered));
        out += fmt::format("<tr><th scope=\"row\">{0}</th><td><div class=\"bar\" role=\"img\" aria-label=\"{1}\" title=\"{1}\"><i class=\"reached\" style=\"width:{2:.2f}%\"></i></div></td>"
                           "<td class=\"number\">{3}{4}</td></tr>\n",
                           to_string(group.group), detail, share, html_text(percentage(group.without_trap, group.sites)), peer ? fmt::format(" (E9Patch {:.0f} %)", *peer) : "");
    }
    return out + "</tbody></table>\n";
}

std::string goal_list(const PartTechniques& part) {
    std::string out = "<ul>\n";
    for (const TechniqueGoal& goal : part.goals)
        out += fmt::format("<li>Goal: {}, {} {} %. Here: {}{}.</li>\n", goal.what, goal.at_least ? "at least" : "at most", goal.wanted, html_text(percentage(goal.part, goal.whole)),
                           goal.whole == 0 ? "" : goal.met() ? ", met" : ", <strong>not met</strong>");
    return out + "</ul>\n";
}

}  // namespace

std::string render_technique_html(const TechniqueTable& table) {
    std::string out;
    const auto part_block = [&](const PartTechniques& part, const std::string& title) {
        out += "<h4>" + title + "</h4>\n<div class=\"split\"><div>\n" + technique_rows(part) + "</div><div>\n" + group_rows(part);
        if (table.written) out += goal_list(part);
        out += "</div></div>\n";
    };
    if (table.parts.size() > 1)
        for (const PartTechniques& part : table.parts) part_block(part, html_text(part.part));
    part_block(table.all, table.parts.size() > 1 ? "All parts" : "The image");
    if (!table.written) out += "<p>Nothing is written: these are intentions, and no goal is judged by them.</p>\n";
    return out + "<p>E9Patch: measured on the .text of Debian's 6.1 amd64 kernel with its trap fallback off; its figure beside \"all critical\" is the one for all "
                 "sensitive sites. It does not support 32-bit code. The figures of this plan are of every section.</p>\n";
}

}  // namespace trapline::reports
