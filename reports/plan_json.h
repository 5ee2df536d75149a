// SPDX-License-Identifier: Apache-2.0
// The plan document as JSON: schema "trapline.plan/1", described for users by reports/schema/plan.json.
#pragma once

#include <string>
#include <string_view>

#include "reports/sink.h"
#include "patch/plan.h"
#include "support/error.h"

namespace trapline::reports {

inline constexpr std::string_view kPlanSchema = "trapline.plan/1";

/// Writes the document, one site to a line. Sites that nothing fits stand among the others with technique "unplanned" and
/// the reason in `why`. The same plan gives the same bytes.
void write_plan_json(const PlanDocument& plan, const Sink& sink);
/// The same as one string.
std::string render_plan_json(const PlanDocument& plan);

/// Reads it back; faults as in parse_scan_json.
Result<PlanDocument> parse_plan_json(std::string_view text, const std::string& name);

}  // namespace trapline::reports
