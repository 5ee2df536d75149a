// SPDX-License-Identifier: Apache-2.0
// The proof of one patch by execution: original and patched window from random states, and everything compared.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "isa/abi.h"
#include "patch/plan.h"
#include "patch/proof/window.h"
#include "support/bytes.h"

namespace trapline::patch::proof {

/// What came of a proof. A proof by execution shows that states differ, or that none of those tried does.
struct Proof {
    bool holds = false;
    unsigned rounds = 0;       ///< that said something: states in which the guest itself breaks the contract are left out
    std::string difference;    ///< the first one, one sentence without a full stop; empty when it holds
    std::string report;        ///< the state and both traces, several lines; empty when it holds or nothing ran
};

struct ProofOptions {
    std::uint64_t seed = 1;
    unsigned rounds = 32;      ///< for each entry of the window
};

/// Runs a window from random states. Registers, the guest's flags, memory but for what the sites declare worthless, the
/// operations asked of the VMM, the events delivered and the place where control goes on must be equal.
Proof prove_equivalence(Window& window, const ProofOptions& options);
/// The same runs, asked about the map: every instruction of the window that the original runs must begin at a step of the
/// patched run, in the same order and with the same state, because the VMM turns a place in a stub into one of the guest's.
/// The steps must also stand in order, inside the stubs and where instructions begin.
Proof prove_map(Window& window, const ProofOptions& options);

/// Both at once.
Proof prove_window(Window& window, const ProofOptions& options);

/// Reads `size` bytes of a section at an address (as PlanWrite and PlannedSite name them), of the image before or after
/// patching; empty when the section does not hold them.
using CodeReader = std::function<Bytes(std::string_view section, std::uint64_t address, std::uint64_t size)>;

/// Proves patch `index` of a plan. A plan that is not sound enough to be run does not hold, with the reason. Thread-safe if
/// `reader` is. For many patches of one plan a WindowBuilder and prove_window are quicker: this one looks at all sites.
Proof prove_patch(const PlanDocument& plan, std::size_t index, const CodeReader& reader, const isa::Abi& abi, const ProofOptions& options);

}  // namespace trapline::patch::proof
