// SPDX-License-Identifier: Apache-2.0
// Runs single instructions in contained children: one forked child for each, out of a small process of its own.
// What a child can reach, and what it cannot: contained/nursery.cpp.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "executor/host/probe_layout.h"
#include "support/error.h"

namespace trapline::executor {

/// What experiments this host allows.
struct NurseryAbilities {
    bool code16 = false;          ///< modify_ldt makes 16-bit segments
    bool tsd = false;             ///< a process can set CR4.TSD for itself (PR_SET_TSC)
    bool cpuid_fault = false;     ///< a process can turn CPUID faulting on (ARCH_SET_CPUID)
};

/// A handful of nursery processes, one for each processor. They end with this object, and with the program.
class Nurseries {
public:
    /// Starts `count` of them. Fails with host_limit, saying what is missing, where this is no x86-64 Linux or the kernel
    /// refuses something that containment needs. Call while the process has one thread only: it forks.
    static Result<Nurseries> start(int count);
    Nurseries(Nurseries&&) noexcept;
    Nurseries& operator=(Nurseries&&) noexcept;
    ~Nurseries();

    const NurseryAbilities& abilities() const { return abilities_; }

    /// Told how many experiments of how many are done.
    using Tick = std::function<void(std::size_t done, std::size_t total)>;
    /// Runs every job in a child of its own; result `i` is that of job `i`. A child that is killed, hangs or exits is a
    /// result. Fails only when a nursery itself is lost; results are incomplete then. About 0.1 ms a job and processor;
    /// jobs that stand side by side with the same memory pattern and width are cheaper.
    Result<std::vector<ProbeResult>> run(std::span<const ProbeJob> jobs, const Tick& tick);

private:
    struct Nursery;
    Nurseries();
    std::vector<std::unique_ptr<Nursery>> nurseries_;
    NurseryAbilities abilities_;
};

}  // namespace trapline::executor
