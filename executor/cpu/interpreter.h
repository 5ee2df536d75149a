// SPDX-License-Identifier: Apache-2.0
// Executes one instruction at a time, in 16- and 32-bit code of every mode: integer, string, control-flow and system
// instructions, with all checks. What has no entry (x87, SSE, and beyond the virtual CPU) is left to the caller.
#pragma once

#include "executor/cpu/instruction.h"
#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"

namespace trapline::executor {

enum class Step : std::uint8_t {
    done,          ///< executed; rip is behind it or at its target
    fault,         ///< raises StepResult::fault at its own address; nothing has changed
    trap,          ///< executed, and raises StepResult::fault behind itself (INT3, INTO, INT n: see `software_vector`)
    halt,          ///< HLT: rip is behind it, vcpu.halted is set
    not_here,      ///< has no entry: run it natively; nothing has changed
};

struct StepResult {
    Step step = Step::done;
    Fault fault;                                  ///< for Step::fault
    std::optional<std::uint8_t> software_vector;  ///< for Step::trap: INT n, INT3, INTO, to be delivered as software interrupt
    std::uint8_t length = 0;                      ///< bytes of the instruction, 0 when they could not be read
};

/// How many iterations of a REP string instruction one step may do before it comes back with rip still at it, and RF set. Under TF or
/// with breakpoints enabled it is one.
inline constexpr std::uint64_t kRepeatSlice = 4096;

/// Executes the instruction at CS:RIP. Keeps interrupt_shadow: sets it behind STI (IF was 0), MOV SS and POP SS, clears it
/// otherwise. TF, hardware breakpoints and pending interrupts are the caller's affair. RF is cleared.
StepResult interpret(Vcpu& vcpu, LinearMemory& memory, Platform& platform);
/// The same for an instruction that has been decoded before: its bytes stand at CS:RIP, within the limit, and may be fetched.
StepResult execute(const Instruction& instruction, Vcpu& vcpu, LinearMemory& memory, Platform& platform);

}  // namespace trapline::executor
