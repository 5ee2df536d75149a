// SPDX-License-Identifier: Apache-2.0
// The plan of code that does not run at the addresses that the plan counts by, as it lies when it runs.
#pragma once

#include "patch/plan.h"

namespace trapline::patch {

/// Gives the same plan with its stubs `distance` bytes further on, and every field between code, stubs and VMM corrected. In a
/// relocatable file stubs and sections are both counted from 0, so that their addresses mean two things each.
PlanDocument place_stubs(PlanDocument plan, std::uint64_t distance);

/// Gives the plan of the part "stub" alone, with everything `distance` bytes further on and not a byte changed: code that moves
/// itself is corrected by nobody.
PlanDocument place_boot_stub(PlanDocument plan, std::uint64_t distance);

}  // namespace trapline::patch
