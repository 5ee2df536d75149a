// SPDX-License-Identifier: Apache-2.0
// The guest-linear pages that belong to the monitor: stubs, the gate, and the two pages that stubs and monitor share
// (executor/ABI.md).
#pragma once

#include <memory>

#include "executor/cpu/vcpu.h"
#include "executor/hypercall/plan_patches.h"
#include "executor/mmu/virtual_tlb.h"

struct trapline_vcpu_page;

namespace trapline::executor {

class MonitorArea {
public:
    /// Maps the pages and keeps the guest's own mappings away from them. Fails with `host_limit`.
    static Result<std::unique_ptr<MonitorArea>> create(VirtualTlb& tlb);
    /// Puts a plan's stubs in.
    void install(const PlanPatches& patches);

    /// What stubs read and write of the processor, before the guest runs and after it has left.
    void publish(const Vcpu& vcpu);
    void collect(Vcpu& vcpu) const;
    /// Makes stores behind an interrupt flag that goes on arrive here, or not.
    void set_event_waits(bool waits);

    std::uint32_t call_site() const;
    /// What `call_site` is for a far call of user code, and where such calls go.
    static constexpr std::uint32_t kUserCall = 0xFFFFFFFF;
    static std::uint32_t user_gate();
    /// Whether an access is one of those; `after_sti` tells which.
    static bool is_pending_access(std::uint32_t linear, bool& after_sti);

private:
    MonitorArea() = default;
    SharedPages stubs_, gate_, shared_;
    trapline_vcpu_page* page_ = nullptr;
    bool waits_ = false;
};

}  // namespace trapline::executor
