// SPDX-License-Identifier: Apache-2.0
// Three circles of one radius. Painter's order does the set arithmetic: the sensitive circles are filled in the critical
// colour, the privileged circle is painted over them, and the outlines come last.
#include "reports/sets_figure.h"

#include <fmt/format.h>

#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

struct Point {
    int x, y;
};

constexpr int kRadius = 115;
constexpr Point kControl{140, 165}, kBehavior{260, 165}, kPrivileged{200, 275};

/// Where the label of each region goes: inside that region and no other circle. Index: SetBit.
constexpr Point kRegionLabel[8] = {{0, 0},     {200, 338}, {84, 148}, {122, 238},
                                   {316, 148}, {278, 238}, {200, 112}, {200, 214}};

std::string circle(Point center, std::string_view css_class) {
    return fmt::format("<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>\n", css_class, center.x, center.y, kRadius);
}

std::string plural(std::uint64_t count, std::string_view noun) { return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s"); }

std::string region_label(unsigned region, const SetCount& count) {
    const Point at = kRegionLabel[region];
    const bool critical = (region & kPrivilegedSet) == 0;
    const std::string_view shade = count.sites == 0 ? "region empty" : critical ? "region critical" : "region";
    std::string out = fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", shade, at.x, at.y, grouped(count.sites));
    if (count.sites != 0)
        out += fmt::format("<text class=\"{} forms\" x=\"{}\" y=\"{}\">{}</text>\n", shade, at.x, at.y + 14, plural(count.forms, "form"));
    return out;
}

std::string set_label(int x, int y, std::string_view anchor, std::string_view css_class, std::string_view name, const SetCount& count) {
    return fmt::format("<text class=\"set {}\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n"
                       "<text class=\"set count\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{} / {}</text>\n",
                       css_class, x, y, anchor, name, x, y + 14, anchor, plural(count.sites, "site"), plural(count.forms, "form"));
}

std::string description(const SetRegions& sets) {
    const auto text = [](const SetCount& count) { return plural(count.sites, "site") + " of " + plural(count.forms, "form"); };
    return fmt::format("Privileged: {}. Control-sensitive: {}. Behavior-sensitive: {}. Sensitive and not privileged, the critical set: {}: "
                       "{} only control-sensitive, {} only behavior-sensitive, {} both. Sensitive and privileged: {} only control-sensitive, "
                       "{} only behavior-sensitive, {} both. Privileged only: {}.",
                       text(sets.privileged), text(sets.control), text(sets.behavior), text(sets.critical),
                       grouped(sets.regions[kControlSet].sites), grouped(sets.regions[kBehaviorSet].sites), grouped(sets.regions[kControlSet | kBehaviorSet].sites),
                       grouped(sets.regions[kPrivilegedSet | kControlSet].sites), grouped(sets.regions[kPrivilegedSet | kBehaviorSet].sites),
                       grouped(sets.regions[kPrivilegedSet | kControlSet | kBehaviorSet].sites), grouped(sets.regions[kPrivilegedSet].sites));
}

}  // namespace

std::string render_sets_figure(const SetRegions& sets, std::string_view profile) {
    std::string out = "<svg class=\"sets\" viewBox=\"0 0 400 424\" role=\"img\" aria-labelledby=\"sets-title sets-desc\" xmlns=\"http://www.w3.org/2000/svg\">\n";
    out += fmt::format("<title id=\"sets-title\">Popek-Goldberg sets under profile {}</title>\n", html_text(profile));
    out += fmt::format("<desc id=\"sets-desc\">{}</desc>\n", description(sets));
    out += circle(kControl, "critical-fill") + circle(kBehavior, "critical-fill") + circle(kPrivileged, "privileged-fill");
    out += circle(kControl, "control-line") + circle(kBehavior, "behavior-line") + circle(kPrivileged, "privileged-line");
    for (unsigned region = 1; region < 8; ++region) out += region_label(region, sets.regions[region]);
    out += set_label(4, 16, "start", "control-text", "control-sensitive", sets.control);
    out += set_label(396, 16, "end", "behavior-text", "behavior-sensitive", sets.behavior);
    out += set_label(396, 404, "end", "privileged-text", "privileged here", sets.privileged);
    out += "<rect class=\"critical-fill swatch\" x=\"4\" y=\"394\" width=\"11\" height=\"11\"/>\n";
    out += set_label(20, 404, "start", "critical-text", "critical", sets.critical);
    return out + "</svg>\n";
}

}  // namespace trapline::reports
