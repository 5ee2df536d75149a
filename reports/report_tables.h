// SPDX-License-Identifier: Apache-2.0
// The static parts of the HTML report: each renders one block of markup. Internal to reports/.
#pragma once

#include <string>
#include <vector>

#include "reports/report_html.h"
#include "reports/tally.h"

namespace trapline::reports {

/// Each gives markup whose texts are escaped; a block with nothing to show says so in a sentence.
std::string render_cards(const ScanDocument& scan, const Tally& counts);
/// With `alone` the plan is all there is to tell of.
std::string render_plan_cards(const PlanDocument& plan, bool alone);
std::string render_facts(const ScanDocument& scan, const ReportExtras& extras);
std::string render_plan_facts(const PlanDocument& plan);
std::string render_verdict(const std::string& text);
std::string render_tag_table(const ScanDocument& scan, const Tally& counts);
std::string render_mnemonic_bars(const Tally& counts);
std::string render_techniques(const PlanDocument* plan);
std::string render_function_rows(const Tally& counts, std::size_t top);
std::string render_section_table(const Tally& counts);
std::string render_context_table(const Tally& counts);
std::string render_disagreements(const Tally& counts);
std::string render_notes(const std::vector<std::string>& notes);

}  // namespace trapline::reports
