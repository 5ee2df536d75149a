// SPDX-License-Identifier: Apache-2.0
// Random states for a window, what two runs from one state must have in common, and the report of a difference.
#pragma once

#include <string>

#include "patch/proof/run.h"

namespace trapline::patch::proof {

/// Makes the state of a round: registers with extreme values among them, flags, IOPL, an IF and a waiting event in every
/// combination that exists, a stack pointer of any alignment, segment bases that are not 0 but for CS and SS.
Start make_start(const Window& window, std::uint64_t entry, std::uint64_t seed, unsigned round);

/// The first thing in which the runs differ, one sentence without a full stop; empty when there is none.
std::string find_difference(const Window& window, const Run& original, const Run& patched);
/// The first instruction of the original that the patched run did not begin at a step, or not in the same state.
std::string find_map_difference(Window& window, const Run& original, const Run& patched);

/// Runs both sides again with traces: the difference, the state and what each side executed, several lines.
std::string describe_difference(Window& window, const Start& start, const std::string& difference);

}  // namespace trapline::patch::proof
