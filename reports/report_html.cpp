// SPDX-License-Identifier: Apache-2.0
// Puts the blocks into templates/report.html.
#include "reports/report_html.h"

#include <map>
#include <string_view>

#include "reports/abi_distance_text.h"
#include "reports/report_data.h"
#include "reports/report_tables.h"
#include "reports/sets_figure.h"
#include "reports/template.h"
#include "reports/text_encoding.h"

namespace trapline::reports {

std::string render_report_html(const ScanDocument& scan, const PlanDocument* plan, const ReportExtras& extras) {
    const Tally counts = tally(scan);
    // Functions that stand in the page itself, for readers without scripts; the script replaces them by the whole table.
    constexpr std::size_t kStaticFunctions = 25;
    std::map<std::string_view, std::string> values;
    values["title"] = html_text(scan.image);
    values["css"] = find_template("report.css");
    values["js"] = find_template("report.js");
    values["cards"] = render_cards(scan, plan, counts);
    values["facts"] = render_facts(scan, extras);
    values["verdict"] = render_verdict(extras.verdict_text);
    values["sets_figure"] = render_sets_figure(counts.sets, scan.profile);
    values["tag_table"] = render_tag_table(scan, counts);
    values["mnemonic_bars"] = render_mnemonic_bars(counts);
    values["techniques"] = render_techniques(plan);
    if (extras.distance != nullptr) values["techniques"] += render_distance_html(*extras.distance);
    values["functions"] = render_function_rows(counts, kStaticFunctions);
    values["sections"] = render_section_table(counts);
    values["contexts"] = render_context_table(counts);
    values["disagreements"] = render_disagreements(counts);
    values["notes"] = render_notes(scan);
    values["findings"] = grouped(counts.findings);
    values["profile"] = html_text(scan.profile);
    values["data"] = make_report_data(scan, plan, counts);
    return fill_template(find_template("report.html"), values);
}

}  // namespace trapline::reports
