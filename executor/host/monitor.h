// SPDX-License-Identifier: Apache-2.0
// The monitor's life: it confines itself, builds the machine, runs the guest, tells the broker, ends.
#pragma once

#include "executor/host/broker.h"

namespace trapline::executor {

/// What broker and monitor both see while the guest runs.
struct RunSignals {
    volatile bool stop = false;  ///< the broker wants the run to end; the broker only writes it
};

/// The monitor's ends of what connects it with the broker.
struct MonitorChannels {
    int input = -1, results = -1, diagnostics = -1;
    RunSignals* signals = nullptr;
    int broker = 0;              ///< its process
    const PlanService* plan = nullptr;  ///< null for techniques without one
};

/// Runs in the forked child and ends it.
[[noreturn]] void be_monitor(const RunRequest& request, const MonitorChannels& channels, const SharedPages& ram, const decode::InstructionDecoder& decoder,
                             const SiteForms& forms);

}  // namespace trapline::executor
