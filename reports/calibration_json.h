// SPDX-License-Identifier: Apache-2.0
// What events cost on one machine, as JSON: schema "trapline.calibration/1", reports/schema/calibration.json.
#pragma once

#include <string>
#include <string_view>

#include "patch/cost.h"
#include "support/error.h"

namespace trapline::reports {

inline constexpr std::string_view kCalibrationSchema = "trapline.calibration/1";

/// Renders a table of costs, in cycles of the time-stamp counter.
std::string render_calibration_json(const patch::CostTable& table);

/// Reads one back; `name` names the file in errors and becomes the table's source. Faults as in parse_scan_json.
Result<patch::CostTable> parse_calibration_json(std::string_view text, const std::string& name);

}  // namespace trapline::reports
