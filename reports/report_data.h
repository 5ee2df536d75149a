// SPDX-License-Identifier: Apache-2.0
// The data that the report's script shows: findings and functions as compact JSON. Internal to reports/.
#pragma once

#include <string>

#include "reports/tally.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

/// Makes the JSON, safe inside a script element. Strings are stored once and rows hold their indices, which makes a row of
/// a stock kernel about 90 bytes. templates/report.js reads it: the order of fields must match there.
std::string make_report_data(const ScanDocument& scan, const PlanDocument* plan, const Tally& counts);

}  // namespace trapline::reports
