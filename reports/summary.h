// SPDX-License-Identifier: Apache-2.0
// The summary of an audit for a terminal: what a person can act on, within 100 columns.
#pragma once

#include <cstddef>
#include <string>

#include "patch/abi_distance.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

struct SummaryOptions {
    bool colour = false;         ///< ANSI colours; the caller knows whether a terminal reads it and NO_COLOR is unset
    std::size_t top = 12;        ///< rows of the lists by mnemonic and by function
    const AbiDistance* distance = nullptr;  ///< to a port to an interface; null: nothing is said of it
};

/// Renders image facts, counts by tag, critical sites by mnemonic and by function, evidence, how each site would be patched,
/// what is left and why, overrides and notes. `plan` may be null: then nothing is said of patching. Names from the image are
/// made printable: no terminal escape of theirs survives.
std::string render_summary(const ScanDocument& scan, const PlanDocument* plan, const SummaryOptions& options);

}  // namespace trapline::reports
