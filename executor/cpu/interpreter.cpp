// SPDX-License-Identifier: Apache-2.0
// One step: decode, execute, and leave the vCPU either behind the instruction or as it was.
#include "executor/cpu/interpreter.h"

#include "executor/cpu/execution.h"
#include "executor/cpu/opcode_table.h"

namespace trapline::executor {

StepResult interpret(Vcpu& vcpu, LinearMemory& memory, Platform& platform) {
    Execution x(vcpu, memory, platform);
    StepResult result;
    if (!x.decode()) {
        result.step = Step::fault;
        result.fault = x.fault;
        if (x.fault.vector == Vector::invalid_opcode) result.length = x.position;
        return result;
    }
    result.length = x.position;
    const std::uint64_t resume = vcpu.rflags & flag::rf;
    vcpu.rflags &= ~flag::rf;
    result.step = x.row->handler(x);
    switch (result.step) {
        case Step::done:
        case Step::halt:
        case Step::trap:
            vcpu.interrupt_shadow = x.shadow;
            if (x.again) {
                // Its breakpoint has been passed, and whatever comes between iterations pushes RF set (SDM vol. 3, "RF flag").
                vcpu.rflags |= flag::rf;
                break;
            }
            vcpu.rip = x.next;
            result.software_vector = x.software_vector;
            if (result.step == Step::trap) result.fault = x.fault;
            break;
        case Step::fault:
            result.fault = x.fault;
            if (x.fault.after_task_switch) {
                // The instruction is over, and the fault is the new task's at its own address.
                vcpu.interrupt_shadow = false;
                break;
            }
            [[fallthrough]];
        case Step::not_here:
            vcpu.rip = x.start;
            vcpu.rflags |= resume;
            break;
    }
    return result;
}

}  // namespace trapline::executor
