// SPDX-License-Identifier: Apache-2.0
// What the events of a deprivileged guest cost on this host, measured.
#pragma once

#include "support/error.h"

namespace trapline::executor {

/// Medians, in cycles of the time-stamp counter, of one event each.
struct EventCosts {
    double trap = 0;         ///< CLI at CPL 3 to a signal handler and back
    double breakpoint = 0;   ///< INT3 to a signal handler and back
    double instruction = 0;  ///< a simple instruction: a store to memory in a row of such
    double jump_pair = 0;    ///< JMP rel32 to code elsewhere and back
    double far_call = 0;     ///< 32-bit code to 64-bit code by a far jump and back
    double near_call = 0;    ///< an indirect jump in 64-bit code and back, with the two stores of a hypercall
};

/// Measures in a child process, which takes about a tenth of a second. Fails with `host_limit`, and says what was missing,
/// on hosts other than 64-bit x86 Linux, where no page can be had below 4 GiB, or where the child does not answer.
Result<EventCosts> measure_event_costs();

}  // namespace trapline::executor
