// SPDX-License-Identifier: Apache-2.0
// Debug exceptions of the guest. The host's debug registers belong to the host, so while breakpoints are enabled every instruction is
// interpreted and its accesses are compared. Those that only the processor can run (x87, MMX, SSE) are stepped natively, and stop at
// instruction breakpoints alone: what they read and write is not seen.
#include <utility>

#include "executor/trap/machine.h"

namespace trapline::executor {

/// Interprets one instruction with its accesses watched where breakpoints are enabled.
StepResult Machine::step() {
    if (!vcpu_.has_breakpoints()) return interpret(vcpu_, *mmu_, *this);
    WatchedMemory memory(*mmu_, DebugConditions(vcpu_));
    watched_ = &memory;
    const StepResult result = interpret(vcpu_, memory, *this);
    watched_ = nullptr;
    // An instruction that faults will make its accesses again.
    const bool restarts = result.step == Step::not_here || (result.step == Step::fault && !result.fault.after_task_switch);
    if (!restarts) debug_due_ |= memory.met();
    return result;
}

/// Delivers an event; what it pushes counts as data too, and the trap for it comes in front of the handler.
Delivery Machine::deliver_watched(const Event& event) {
    if (!vcpu_.has_breakpoints()) return deliver(vcpu_, *mmu_, event);
    WatchedMemory memory(*mmu_, DebugConditions(vcpu_));
    const Delivery delivery = deliver(vcpu_, memory, event);
    debug_due_ |= memory.met();
    return delivery;
}

/// Raises the debug exception that comes before the instruction at hand, if there is one: a trap that was held back, or an instruction
/// breakpoint, which RF lets through once.
bool Machine::raises_debug_before() {
    // MOV SS and POP SS hold back both (SDM vol. 3, "Masking Exceptions and Interrupts When Switching Stacks").
    if (std::exchange(debug_held_, false)) return false;
    if (debug_due_ != 0) {
        raise_debug_trap();
        return true;
    }
    if (!vcpu_.has_breakpoints() || (vcpu_.rflags & flag::rf) != 0 || stepping_over_) return false;
    const std::uint32_t met = DebugConditions(vcpu_).at_instruction(linear_ip());
    if (met == 0) return false;
    vcpu_.dr[6] |= met;
    inject_fault({Vector::debug, {}, 0});
    return true;
}

/// Behind an instruction: raises what its accesses and TF have made due, in one exception.
void Machine::finish_instruction(bool single_step) {
    if (single_step && !debug_held_) debug_due_ |= dr6::single_step;
    if (debug_due_ != 0 && !debug_held_) raise_debug_trap();
}

void Machine::raise_debug_trap() {
    // The B bits are sticky, as APM vol. 2, "Debug-Status Register", has it; SDM lets the processor clear them.
    vcpu_.dr[6] |= std::exchange(debug_due_, 0);
    inject({.kind = EventKind::trap, .vector = static_cast<std::uint8_t>(Vector::debug)});
}

}  // namespace trapline::executor
