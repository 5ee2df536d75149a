// SPDX-License-Identifier: Apache-2.0
// What a run of a guest was and did as JSON: schema "trapline.stats/1" (reports/schema/stats.json). execution_counts.h reads it.
#pragma once

#include <string>

#include "executor/host/run_statistics.h"

namespace trapline::reports {

/// Renders the document, one site to a line.
std::string render_stats_json(const RunStatistics& statistics);

}  // namespace trapline::reports
