// SPDX-License-Identifier: Apache-2.0
// The plan of a relocatable file as a loader would leave it.
#pragma once

#include "patch/plan.h"

namespace trapline::patch {

/// Gives the same plan with its stubs `distance` bytes further on, and every field between code, stubs and VMM corrected. In a
/// relocatable file stubs and sections are both counted from 0, so that their addresses mean two things each.
PlanDocument place_stubs(PlanDocument plan, std::uint64_t distance);

}  // namespace trapline::patch
