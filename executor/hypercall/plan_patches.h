// SPDX-License-Identifier: Apache-2.0
// A plan as the running machine needs it: what to lay over which page, what a stub's addresses stand for, what a site's number means.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "executor/trap/code_pages.h"
#include "patch/plan.h"
#include "support/error.h"

namespace trapline::executor {

/// One site by the number that stubs hand over.
struct PlanSite {
    std::uint32_t address = 0;   ///< linear
    std::uint32_t resume = 0;    ///< in its stub, of what stands behind the instruction; 0 without
    std::uint8_t length = 0;
    std::uint32_t patch = 0;     ///< index + 1; 0 without one
    std::uint32_t executions = 0;///< seen in this run while the patch was off
};

class PlanPatches {
public:
    /// Takes the payload's patches that lie on one page and whose code is at `0 + link address`. Fails with `inconsistent` for a plan
    /// of another interface, or whose stubs lie outside the interface's area.
    static Result<PlanPatches> create(const PlanDocument& plan);

    /// The same as bytes and back, for the way from the process that reads plans to the one that runs guests. `decode` fails with
    /// `malformed` for bytes that `encode` did not make.
    std::vector<std::uint8_t> encode() const;
    static Result<PlanPatches> decode(std::span<const std::uint8_t> bytes);

    /// The overlays of a page whose bytes are those that the plan expects; patches that are off are left out. Valid until the
    /// next call.
    std::span<const CodeOverlay* const> overlays(std::uint32_t linear_page, std::span<const std::uint8_t> page);

    /// Switches all patches on or off.
    void set_all(bool on);
    /// Linear pages that have patches.
    std::vector<std::uint32_t> pages() const;
    /// Counts an execution of an unpatched site. When that made its patch worth it, all patches of its page go on, and the page is given,
    /// to be prepared again.
    std::optional<std::uint32_t> count_execution(std::uint32_t linear, unsigned threshold);

    const PlanSite* site(std::uint32_t number) const { return number < sites_.size() ? &sites_[number] : nullptr; }
    std::uint32_t stubs_begin() const { return stubs_begin_; }
    std::span<const std::uint8_t> stubs() const { return stubs_; }
    bool is_stub(std::uint32_t linear) const { return linear - stubs_begin_ < stubs_.size(); }

    /// What an address in a stub stands for.
    struct Place {
        std::uint32_t guest = 0;  ///< of the last step at or before it
        bool exact = false;       ///< a step begins there
        std::uint32_t next = 0;   ///< guest address of the step behind; 0 behind the last
    };
    std::optional<Place> locate(std::uint32_t linear) const;

private:
    struct Patch {
        std::uint32_t begin = 0, end = 0;
        std::vector<CodeOverlay> overlays;
        std::vector<std::vector<std::uint8_t>> expected;  ///< by overlay: the bytes that it replaces
        bool on = true;
    };
    struct Step {
        std::uint32_t address = 0, guest = 0;
        bool last = false;
    };

    void index();

    std::vector<Patch> patches_;
    std::vector<PlanSite> sites_;
    std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> pages_;   ///< patches by linear page
    std::unordered_map<std::uint32_t, std::uint32_t> site_at_;              ///< number by linear address
    std::vector<Step> steps_;                                               ///< by address
    std::vector<std::uint8_t> stubs_;
    std::uint32_t stubs_begin_ = 0;
    std::vector<const CodeOverlay*> found_;
};

}  // namespace trapline::executor
