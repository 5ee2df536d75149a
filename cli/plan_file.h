// SPDX-License-Identifier: Apache-2.0
// Plans as files: the document, and the packed form of what a run needs of it.
#pragma once

#include <string>

#include "patch/plan.h"
#include "support/error.h"

namespace trapline::cli {

/// Reads a plan document; "-" is standard input. Fails as reports::parse_plan_json does, and with `unsupported` for a packed plan, which
/// has not what reasons and proofs take.
Result<PlanDocument> read_plan_document(const std::string& path);
/// Reads a plan of either form; of a packed one, members that no VMM needs are empty.
Result<PlanDocument> read_any_plan(const std::string& path);

}  // namespace trapline::cli
