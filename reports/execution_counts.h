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

inline constexpr std::string_view kStatsSchema = "trapline.stats/1";

struct ExecutionCounts {
    std::string sha256;  ///< of the image that ran: its innermost file, of a bzImage the payload
    /// Executions by part and address.
    std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> executions;
};

/// Reads `image.sha256` and `sites` (part, address, executions) of a statistics document; its other members are the
/// executor's and are not looked at. A site that is named twice is refused. Other faults as in parse_scan_json.
Result<ExecutionCounts> parse_execution_counts(std::string_view text, const std::string& name);

}  // namespace trapline::reports
