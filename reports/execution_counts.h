// SPDX-License-Identifier: Apache-2.0
// How often sites ran, out of an executor's statistics: schema "trapline.stats/1".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "support/error.h"

namespace trapline::reports {

/// What was counted, for a planner.
struct ExecutionCounts {
    std::string sha256;  ///< of the image that ran: its innermost file, of a bzImage the payload
    std::uint64_t sites = 0, total = 0;  ///< how many places there are, and their executions
    /// Executions by part and address. The kernel in a bzImage is an image of its own when it is taken out, so counts of the part
    /// "payload" stand under "" too, and those of "" under "payload".
    std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> executions;
};

/// Reads `image.sha256` and `sites` (part, address, executions) of a statistics document; the other members may be missing,
/// and are held against the schema where they are there. Faults as in parse_stats_json.
Result<ExecutionCounts> parse_execution_counts(std::string_view text, const std::string& name);

}  // namespace trapline::reports
