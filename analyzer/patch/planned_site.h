// SPDX-License-Identifier: Apache-2.0
// A finding as the site of a plan, before anything is chosen for it.
#pragma once

#include "isa/abi.h"
#include "isa/database.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::patch {

/// Takes over what the finding says of place, instruction, tags and evidence, and names its operation and what the interface
/// calls that. Number, technique, costs and counts are the caller's.
PlannedSite planned_site(const Finding& finding, const isa::Database& database, const isa::Abi& abi);

/// The reason for which a site is left to its trap.
std::string trap_reason(const PlannedSite& site);

}  // namespace trapline::patch
