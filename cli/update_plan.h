// SPDX-License-Identifier: Apache-2.0
// `trapline run --update-plan`: what a run has met goes into the plan of its image.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/guest_files.h"
#include "patch/plan.h"

namespace trapline::cli {

/// Writes `plan` (or, without one, a new one of the image), brought up to date with the sites of a run, to `path`, and says on stderr what
/// became of them. After a failure the file is as it was.
Status update_plan(const std::string& path, std::optional<PlanDocument>&& plan, const GuestFiles& files, const std::vector<executor::SiteRecord>& sites,
                   const isa::Database& database, const GlobalOptions& global);

}  // namespace trapline::cli
