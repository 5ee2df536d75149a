// SPDX-License-Identifier: Apache-2.0
// What a run of a guest was and did as JSON: schema "trapline.stats/1" (reports/schema/stats.json).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "executor/host/run_statistics.h"
#include "support/error.h"

namespace trapline::reports {

inline constexpr std::string_view kStatsSchema = "trapline.stats/1";
/// More sites than this are refused in a document; `trapline run` writes no more.
inline constexpr std::size_t kMostRunSites = 100'000;

/// Renders the document, one site to a line.
std::string render_stats_json(const RunStatistics& statistics);

/// How much of a document has to be there.
enum class StatsNeed {
    all,     ///< every member of the schema
    counts,  ///< image.sha256 and sites with part, address and executions: other tools may count too
};

/// Reads such a document, and trusts nothing in it: what is there is what the schema says, each place, mnemonic and vector
/// stands there once, and sums are those of their parts. `name` names the file in errors; faults as in parse_scan_json.
Result<RunStatistics> parse_stats_json(std::string_view text, const std::string& name, StatsNeed need = StatsNeed::all);

}  // namespace trapline::reports
