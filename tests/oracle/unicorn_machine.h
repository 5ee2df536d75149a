// SPDX-License-Identifier: Apache-2.0
// The reference machine of the proofs against Unicorn, one instruction at a time.
#pragma once

#include <cstdint>

#include "isa/mode.h"
#include "patch/proof/layout.h"

namespace trapline {

struct MachineComparison {
    std::uint64_t compared = 0;
    std::uint64_t explained = 0;  ///< differences that a row of the table in unicorn_machine.cpp explains
    std::uint64_t failures = 0;   ///< all others; the first few are printed
};

/// Runs `count` random instructions that the machine models, each from a random state, on both. `cpl` is 0 or 3; IOPL is 0
/// at CPL 3. The same seed gives the same instructions.
MachineComparison compare_machine(const patch::proof::Layout& layout, int cpl, std::uint64_t count, std::uint64_t seed);

}  // namespace trapline
