// SPDX-License-Identifier: Apache-2.0
// The plan as a list for people.
#pragma once

#include "patch/plan.h"
#include "reports/sink.h"

namespace trapline::reports {

/// Writes what the plan is for, one line for each site in the order of the file (address, part, technique, patch, stub,
/// cycles untouched and as planned, instruction, operation, place), then notes and the tables by technique
/// (technique_table.h). Names from the image are made printable. Lines of sites may be long.
void write_plan_text(const PlanDocument& plan, const Sink& sink);

}  // namespace trapline::reports
