// SPDX-License-Identifier: Apache-2.0
#include "reports/execution_counts.h"

#include <algorithm>

#include "reports/run_tally.h"
#include "reports/stats_json.h"

namespace trapline::reports {

Result<ExecutionCounts> parse_execution_counts(std::string_view text, const std::string& name) {
    const Result<RunStatistics> statistics = parse_stats_json(text, name, StatsNeed::counts);
    if (!statistics) return tl::unexpected(statistics.error());
    ExecutionCounts counts;
    counts.sha256 = statistics->sha256;
    for (const RunSite& site : statistics->sites) {
        const std::uint64_t executions = total(site.arrivals).count;
        counts.sites += executions != 0 ? 1 : 0;
        counts.total = saturating_sum(counts.total, executions);
        if (site.part == kOtherCode) {
            counts.executions[{site.part, site.address}] = executions;
            continue;
        }
        // A document that counts one place under both names counts it once: the larger is right for either.
        for (const char* part : {"", "payload"}) {
            std::uint64_t& known = counts.executions[{part, site.address}];
            known = std::max(known, executions);
        }
    }
    return counts;
}

}  // namespace trapline::reports
