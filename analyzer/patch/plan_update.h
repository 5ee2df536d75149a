// SPDX-License-Identifier: Apache-2.0
// What a run has shown, written into the plan of the image that ran: how often sites were executed, and sites that the plan lacks.
#pragma once

#include <cstdint>
#include <vector>

#include "classify/tags.h"
#include "image/image.h"
#include "patch/cost.h"
#include "patch/plan.h"

namespace trapline::patch {

/// A place whose instruction an executor has met, as its statistics have it: believed as little as any input.
struct ExecutedPlace {
    std::uint64_t address = 0;        ///< linear, where the guest ran it
    std::vector<std::uint8_t> bytes;  ///< as they stood in memory; what follows the instruction may stand behind it
    std::uint64_t executions = 0;
};

/// What became of the places.
struct PlanUpdate {
    std::uint64_t known = 0;      ///< sites that the plan had, counted now
    std::uint64_t added = 0;      ///< sites that it has from now on
    std::uint64_t left_out = 0; ///< sites beyond all reason
    std::uint64_t changed = 0;    ///< places of the image at which the guest ran other code than the file has
    std::uint64_t harmless = 0;   ///< code of the image that needs no help under the plan's profile
    std::uint64_t elsewhere = 0;  ///< modules, programs, code made at run time
};

/// Brings a plan up to date. Give it each image of the plan (of a bzImage three), then `finish`.
///
/// A place belongs to an image where memory held the bytes that the file has there; how far the guest moved the image (the kernel
/// before paging, another address chosen at the start) is found from the sites that the plan knows. A new site stands behind the others,
/// by address, since stubs name sites by number: privileged ones are left to their trap, critical ones get a breakpoint where nothing
/// else has changed the byte, else they are unplanned. Executions add up. With the same places once more nothing is added.
class PlanUpdater {
public:
    /// Keeps references to all but `places`. `tags` are of the plan's profile, `abi` is its interface.
    PlanUpdater(PlanDocument& plan, const isa::Database& database, const classify::TagTable& tags, const isa::Abi& abi, std::vector<ExecutedPlace> places);

    /// Takes what is this image's, the part of that name in the plan. Relocatable files and 16-bit code have nothing that runs.
    void add(const image::Image& image, const std::string& part);
    /// Completes the plan, and counts what was no image's.
    PlanUpdate finish();

private:
    struct Part;
    void take(Part& part, const ExecutedPlace& place, std::uint64_t address);
    void add_site(Part& part, std::uint64_t address, std::uint64_t executions);
    void choose_breakpoint(Part& part, const Finding& finding, std::uint32_t section, PlannedSite& site);

    PlanDocument& plan_;
    const isa::Database& database_;
    const classify::TagTable& tags_;
    const isa::Abi& abi_;
    CostTable costs_;
    std::vector<ExecutedPlace> places_;  ///< without those that an image has taken
    PlanUpdate update_;
};

}  // namespace trapline::patch
