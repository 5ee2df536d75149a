// SPDX-License-Identifier: Apache-2.0
// A plan for a guest that runs already: read or made in a process of its own meanwhile, and handed to the monitor through shared
// memory. Reading a kernel's plan takes a sixth of a second, making one more than a second.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <vector>

#include "executor/host/descriptor.h"
#include "executor/hypercall/plan_patches.h"
#include "executor/mmu/guest_memory.h"
#include "support/error.h"

namespace trapline::executor {

/// Gives a plan as PlanPatches::encode does.
using MakePlan = std::function<Result<std::vector<std::uint8_t>>()>;

class PlanService {
public:
    PlanService() = default;
    ~PlanService();
    PlanService(const PlanService&) = delete;
    PlanService& operator=(const PlanService&) = delete;

    /// Takes the shared memory; call before the monitor is forked.
    Status prepare();
    /// Starts the planning process; call in the broker, behind the fork of the monitor. One that nobody waits for has the lowest priority.
    Status start(const MakePlan& make_plan, bool awaited);
    /// Becomes readable when the planning process is done; -1 before start and afterwards.
    int descriptor() const { return done_.get(); }
    /// Reads how it went, once `descriptor` is readable.
    Status finish();

    /// In the monitor: the plan, once, when it is there. Costs a load until then.
    std::optional<PlanPatches> take() const;

private:
    struct Header;
    Header* header() const;
    SharedPages memory_;
    Descriptor done_;
    pid_t process_ = -1;
};

}  // namespace trapline::executor
