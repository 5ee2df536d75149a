// SPDX-License-Identifier: Apache-2.0
// A patched image against its plan: its bytes, a scan of it, and the proof of every patch.
#pragma once

#include <functional>

#include "image/image.h"
#include "patch/proof/prove.h"
#include "patch/proof/verify_report.h"
#include "scan/finding.h"

namespace trapline::patch::proof {

struct VerifyOptions {
    ProofOptions proof;
    int jobs = 0;               ///< threads; 0 for all processors
    /// Called from any thread, one call at a time, with patches done and patches in all; may be empty.
    std::function<void(std::uint64_t, std::uint64_t)> progress;
};

/// Verifies one part of the patched image ("" unless it is a bzImage's) and adds what it finds to `report`. `scan` is a scan
/// of `image`, made with the decoder and both witnesses. Findings do not depend on the number of jobs.
void verify_part(const image::Image& image, const ScanDocument& scan, const PlanDocument& plan, const std::string& part, const isa::Abi& abi,
                 const VerifyOptions& options, VerifyReport& report);

/// Adds a finding for each part of the plan that `parts_met` lacks, and sorts the findings. Call it once, at the end.
void finish_report(const PlanDocument& plan, const std::vector<std::string>& parts_met, VerifyReport& report);

}  // namespace trapline::patch::proof
