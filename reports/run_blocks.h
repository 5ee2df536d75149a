// SPDX-License-Identifier: Apache-2.0
// The parts of the HTML report that show a run: each renders one block of markup. Internal to reports/.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "reports/report_html.h"
#include "reports/run_tally.h"

namespace trapline::reports {

/// Hottest sites that the page's script gets of one run; the block says how many there are beyond.
inline constexpr std::size_t kEmbeddedRunSites = 20'000;

/// Each gives markup whose texts are escaped; a block with nothing to show says so in a sentence.
std::string render_run_cards(const RunStatistics& run, const RunTally& counts);
std::string render_run_facts(const RunStatistics& run);
/// Wall time in guest, monitor and idle, as a bar over the whole run and one without the idle part.
std::string render_run_time(const RunStatistics& run);
/// One bar for each of several runs, to one scale.
std::string render_run_comparison(const std::vector<ReportRun>& runs);
/// How sensitive instructions came to the monitor: count and time of each way, and by mnemonic.
std::string render_run_ways(const RunStatistics& run);
std::string render_run_mnemonics(const RunStatistics& run);
/// The hottest sites, for readers without scripts; the script replaces them by a table that sorts.
std::string render_run_sites(const RunTally& counts, std::size_t top);
std::string render_run_functions(const RunTally& counts);
/// What became of the plan: executed sites by planned technique, what more would be worth a patch, what the plan lacks.
std::string render_run_plan(const RunStatistics& run, const RunTally& counts, const PlanDocument& plan);
std::string render_run_events(const RunStatistics& run);
/// Entries and exits, memory management, and the limits of the host that the run came near.
std::string render_run_machine(const RunStatistics& run);

}  // namespace trapline::reports
