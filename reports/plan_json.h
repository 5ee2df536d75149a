// SPDX-License-Identifier: Apache-2.0
// The plan document as JSON: schema "trapline.plan/1", described for users by reports/schema/plan.json.
#pragma once

#include <string>
#include <string_view>

#include "patch/plan.h"
#include "reports/sink.h"
#include "support/error.h"

namespace trapline::reports {

inline constexpr std::string_view kPlanSchema = "trapline.plan/1";

/// Writes the document, one site, patch or stub to a line. Sites that nothing fits stand among the others with technique
/// "unplanned" and the reason in `why`. The same plan gives the same bytes.
void write_plan_json(const PlanDocument& plan, const Sink& sink);
/// The same as one string.
std::string render_plan_json(const PlanDocument& plan);

/// Reads a document that write_plan_json wrote, and trusts nothing in it: what plan_check.h lists holds of a plan that comes
/// back. `name` names the file in errors. Fails with the first fault, its JSON pointer, what was found and what was
/// expected: faults as in parse_scan_json, and `unsupported` for another major version.
Result<PlanDocument> parse_plan_json(std::string_view text, const std::string& name);

}  // namespace trapline::reports
