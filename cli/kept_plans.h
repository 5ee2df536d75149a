// SPDX-License-Identifier: Apache-2.0
// Plans that runs have made, kept for the next run of the same image: a kernel takes as long to plan as to boot. They lie in the folder
// `plans` of the cache folder, packed. Who made a plan is part of its name, so another build of the program makes its own. What is read there is
// believed no more than a plan of the user's. Nothing fails for want of a kept plan.
#pragma once

#include <optional>

#include "cli/guest_files.h"
#include "patch/plan.h"

namespace trapline::cli {

/// At most so many are kept; those that have not been used for longest go first.
inline constexpr std::size_t kMostKeptPlans = 16;

/// The plan of an image that this program has kept; nothing where there is none, or where it cannot be read.
std::optional<PlanDocument> find_kept_plan(const GuestFiles& files);

/// Keeps it, if it can be kept.
void keep_plan(const GuestFiles& files, const PlanDocument& plan);

}  // namespace trapline::cli
