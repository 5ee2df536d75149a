// SPDX-License-Identifier: Apache-2.0
// From a plan to windows that can be run.
#pragma once

#include <map>
#include <vector>

#include "patch/proof/prove.h"

namespace trapline::patch::proof {

/// Builds the windows of one plan. Keeps references to all it is given. Immutable after construction, safe to share between
/// threads if the reader is.
class WindowBuilder {
public:
    WindowBuilder(const PlanDocument& plan, CodeReader reader, const isa::Abi& abi);

    /// Builds the window of a patch, which refers to this builder. Fails with `malformed` or `inconsistent` where the plan names what it does not have, or
    /// contradicts itself or the image; with `unsupported` where the interface has no stubs for the code.
    Result<Window> build(std::size_t patch) const;

private:
    struct Job;
    struct PartWrite {
        const std::string* part;
        const PlanWrite* write;
    };
    const PlanDocument* plan_;
    CodeReader reader_;
    const isa::Abi* abi_;
    std::map<Mode, Result<Layout>> layouts_;
    std::vector<std::vector<std::uint32_t>> sites_of_patch_;
    std::vector<std::uint32_t> sites_by_address_;  ///< indexes
    std::vector<PartWrite> writes_;                ///< of all patches, by address
    std::uint64_t longest_write_ = 0;
};

}  // namespace trapline::patch::proof
