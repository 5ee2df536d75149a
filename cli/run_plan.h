// SPDX-License-Identifier: Apache-2.0
// The plan that `trapline run` uses: the user's, or one that is made while the guest starts.
#pragma once

#include "cli/command.h"
#include "cli/guest_files.h"
#include "executor/host/plan_service.h"
#include "patch/plan.h"

namespace trapline::cli {

/// Reads the plan at `path`, a document or packed, and holds it against the image: `refused` for one of another image, else as
/// reports::parse_plan_json and patch::decode_embedded_plan. Of a packed one, members that no VMM needs are empty; with `whole` it is refused.
Result<PlanDocument> read_plan(const std::string& path, const GuestFiles& files, bool whole = false);
/// Makes a plan of the image. Starts threads.
Result<PlanDocument> make_plan(const GuestFiles& files, const GlobalOptions& global);

/// Where the plan of a run comes from.
struct PlanSource {
    std::string path;    ///< the user's; empty for none
    bool fresh = false;  ///< without a path: made anew, and not kept
};

/// Gives a function that reads the plan at `source.path` and holds it against the image; without a path it takes the one that the image
/// carries, one that an earlier run has kept, or makes one. It runs in a process of its own. Keeps references to `files` and `global`.
executor::MakePlan plan_maker(const PlanSource& source, const GuestFiles& files, const GlobalOptions& global);

}  // namespace trapline::cli
