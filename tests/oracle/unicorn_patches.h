// SPDX-License-Identifier: Apache-2.0
// Patches of a plan under Unicorn: the original at CPL 0, what replaces it at CPL 3.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "patch/proof/window_builder.h"

namespace trapline {

struct PatchComparison {
    std::uint64_t patches = 0;    ///< compared in at least one state
    std::uint64_t states = 0;
    std::uint64_t failures = 0;   ///< the first few are printed
    std::map<std::string, std::uint64_t> left_out;  ///< patches that were not compared, by reason
};

/// Runs every patch of the plan whose instructions Unicorn can execute, `states` times each. What needs the VMM is left out:
/// there is none here. Registers, the guest's flags, memory and the place where control goes on must be equal, and the VMM
/// must be asked for delivery where IF rose.
PatchComparison compare_patches(const PlanDocument& plan, const patch::proof::WindowBuilder& builder, const isa::Abi& abi, unsigned states, std::uint64_t seed);

}  // namespace trapline
