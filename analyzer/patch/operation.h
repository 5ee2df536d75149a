// SPDX-License-Identifier: Apache-2.0
// From findings to intentions: for each site a VMM must deal with, the operation it asks of the VMM and how the site would
// come to ask for it. No bytes are written and no room is reserved here; that is the planner's work.
#pragma once

#include "isa/database.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::patch {

/// Plans every critical site and every site that is privileged, conditionally or always, in the order of the findings;
/// what is sensitive but neither does not exist (MODEL: critical). Pure: the same findings give the same plan. A finding
/// whose form the database does not have, because the scan was made with another version of it, comes out unplanned.
PlanDocument plan_operations(const ScanDocument& scan, const isa::Database& database);

}  // namespace trapline::patch
