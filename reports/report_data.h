// SPDX-License-Identifier: Apache-2.0
// The data that the report's script shows: findings, functions and executed sites as compact JSON. Internal to reports/.
#pragma once

#include <string>
#include <vector>

#include "reports/run_tally.h"
#include "reports/tally.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

/// What the data are made of. The tallies point into their documents.
struct ReportDataInput {
    const ScanDocument& sites;         ///< the findings, or a plan's sites as such
    const PlanDocument* plan = nullptr;
    const Tally& counts;               ///< of `sites`
    const std::vector<RunTally>& runs;
};

/// Makes the JSON, safe inside a script element. Strings are stored once and rows hold their indices, which makes a row of
/// a stock kernel about 90 bytes. templates/site_tables.js and run_tables.js read it: the order of fields must match there.
std::string make_report_data(const ReportDataInput& input);

}  // namespace trapline::reports
