// SPDX-License-Identifier: Apache-2.0
// Guest code on the processor itself, in this process: entering it, and what comes back. One virtual processor per process:
// the frame is a global, because signal handlers and the gate must find it without a register.
#pragma once

#include <sys/types.h>

#include "executor/host/native_frame.h"
#include "support/error.h"

namespace trapline::executor {

/// Why a signal ended native execution, as the host reported it.
struct NativeSignal {
    int number = 0;                ///< SIGSEGV, SIGTRAP, SIGILL, SIGBUS, SIGFPE, SIGSYS, or the kick's own
    unsigned trap = 0;             ///< the processor's vector (meaningless for kicks and SIGSYS)
    std::uint32_t error_code = 0;  ///< pushed by the processor
    std::uint64_t address = 0;     ///< CR2, for vector 14
    bool wide = false;             ///< the guest had got into 64-bit code, its own or the host's
    int system_call = 0;           ///< SIGSYS: the number of the call that was refused
};

/// Prepares this process: alternate stack, signal handlers, timer. Call once, in the monitor. Fails with `host_limit` where the
/// processor or the kernel lacks WRFSBASE, or a call is refused.
Status start_native();
/// The registers to enter with, and after an exit those that the guest left with.
NativeFrame& native_frame();
/// Runs the guest until it leaves.
NativeExit enter_guest();
/// What the last exit of kind `signal` was.
const NativeSignal& native_signal();
/// Asks for an exit at the given time of CLOCK_MONOTONIC in nanoseconds; replaces what was asked before.
void kick_at(std::uint64_t nanoseconds);
/// Linear address of the code that the gate page jumps to.
std::uint64_t gate_entry_address();
/// The signal that kicks use; it carries nothing.
int kick_signal();

}  // namespace trapline::executor
