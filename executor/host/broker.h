// SPDX-License-Identifier: Apache-2.0
// Runs a guest: this process, the broker, has the files, the terminal and the user's signals; a forked child, the monitor, has
// the guest and nothing else (sandbox.h). The broker believes nothing that the monitor says, and waits for nothing that it may withhold.
#pragma once

#include <functional>

#include "executor/boot/boot.h"
#include "executor/host/monitor_message.h"
#include "executor/host/plan_service.h"
#include "executor/trap/machine.h"

namespace trapline::executor {

/// What to run, with everything opened and read.
struct RunRequest {
    BootRequest boot;
    RunTechnique technique = RunTechnique::trap;
    int input = -1;               ///< where serial input comes from; -1 for none
    int output = -1;              ///< where serial output goes
    int trace = -1;               ///< where a line for each arrival goes; -1 for nowhere
    double timeout_seconds = 0;   ///< 0 for none
    bool apic = false;            ///< a local APIC and an I/O APIC, and a table that tells of them
    MakePlan make_plan;           ///< for the techniques hypercall and automatic: run in a process of its own while the guest starts
    bool plan_required = false;   ///< a plan that cannot be had ends the run, else it goes on without
};

/// Told while the guest runs.
struct RunEvents {
    /// The guest is loaded and is about to run.
    std::function<void(const Started& started)> started;
    /// There is no plan, and the run goes on without.
    std::function<void(const Error& error)> no_plan;
};

/// Why the broker has ended a run that did not end by itself.
enum class StopCause : std::uint8_t { none, signal, key, timeout };

/// How a run went.
struct RunResult {
    Started started;
    Ending why = Ending::interrupted;  ///< `interrupted`: see `stopped`
    Ended ended;
    StopCause stopped = StopCause::none;
    int stop_signal = 0;               ///< of StopCause::signal
    bool killed = false;               ///< did not end when it was told to: no registers, no counts
    std::uint64_t peak_memory = 0;     ///< bytes of the monitor that were resident at once, guest memory that it touched among them
};

/// Runs a guest in `ram` (which is the guest's afterwards as before: for dumps) until it ends. Call while the process has one thread. While
/// it runs SIGINT, SIGTERM, SIGHUP and SIGQUIT end the guest instead of this process, and an input that is a terminal is in raw mode. Fails with what
/// loading the guest fails with, with `host_limit`, and with `inconsistent` where the monitor itself broke.
Result<RunResult> run_guest(const RunRequest& request, const SharedPages& ram, const decode::InstructionDecoder& decoder, const SiteForms& forms, const RunEvents& events);

}  // namespace trapline::executor
