// SPDX-License-Identifier: Apache-2.0
// Whether code behind a place may still read the arithmetic flags that stand there.
#pragma once

#include "patch/plan.h"
#include "scan/code_facts.h"

namespace trapline::patch {

/// Follows the code from `place` on, along direct jumps, until the six arithmetic flags (CF PF AF ZF SF OF) are all written
/// (dead), one may be read (live), or the code is not understood (unknown): a call, an indirect branch, a return, an
/// instruction outside the table, more than kMostSteps instructions.
FlagsLiveness flags_liveness(const scan::CodeFacts& facts, scan::CodePlace place);

}  // namespace trapline::patch
