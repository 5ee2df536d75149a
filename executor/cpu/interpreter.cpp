// SPDX-License-Identifier: Apache-2.0
// One step: decode, execute, and leave the vCPU either behind the instruction or as it was.
#include "executor/cpu/interpreter.h"

#include <algorithm>

#include "executor/cpu/execution.h"

namespace trapline::executor {
namespace {

/// The bytes at CS:RIP. Those behind a page's end are read when the instruction reaches them.
class CodeBytes final : public InstructionBytes {
public:
    CodeBytes(const Vcpu& vcpu, LinearMemory& memory) : vcpu_(vcpu), memory_(memory) {}
    MaybeFault fault;

private:
    bool provide(unsigned wanted) override {
        constexpr std::uint32_t kPage = 4096;
        const auto start = static_cast<std::uint32_t>(vcpu_.rip);
        while (available_ < wanted) {
            const std::uint32_t at = start + available_, limit = vcpu_.cs().limit;
            if (wanted > kLongestInstruction || at > limit || at < start) {
                fault = Fault::general_protection();
                return false;
            }
            const auto linear = static_cast<std::uint32_t>(vcpu_.cs().base + at);
            std::uint32_t count = std::min<std::uint32_t>(kPage - linear % kPage, kLongestInstruction - available_);
            if (limit - at < count) count = limit - at + 1;
            fault = memory_.fetch(linear, bytes_.data() + available_, count, vcpu_.cpl == 3 ? Privilege::user : Privilege::supervisor);
            if (fault) return false;
            available_ += count;
        }
        return true;
    }

    const Vcpu& vcpu_;
    LinearMemory& memory_;
};

}  // namespace

StepResult interpret(Vcpu& vcpu, LinearMemory& memory, Platform& platform) {
    CodeBytes bytes(vcpu, memory);
    Instruction instruction;
    const Decoding decoding = decode(bytes, vcpu.cs().big, instruction);
    if (decoding == Decoding::done) return execute(instruction, vcpu, memory, platform);
    StepResult result{.step = Step::fault};
    if (decoding == Decoding::invalid) {
        result.fault = Fault::invalid_opcode();
        result.length = instruction.length;
    } else {
        result.fault = *bytes.fault;
    }
    return result;
}

StepResult execute(const Instruction& instruction, Vcpu& vcpu, LinearMemory& memory, Platform& platform) {
    Execution x(instruction, vcpu, memory, platform);
    const std::uint64_t resume = vcpu.rflags & flag::rf;
    vcpu.rflags &= ~flag::rf;
    return conclude(x, x.handler(x), resume);
}

StepResult conclude(Execution& x, Step step, std::uint64_t resume) {
    StepResult result{.step = step};
    result.length = x.length;
    switch (step) {
        case Step::done:
        case Step::halt:
        case Step::trap:
            x.vcpu.interrupt_shadow = x.shadow;
            if (x.again) {
                // Its breakpoint has been passed, and whatever comes between iterations pushes RF set (SDM vol. 3, "RF flag").
                x.vcpu.rflags |= flag::rf;
                break;
            }
            x.vcpu.rip = x.next;
            result.software_vector = x.software_vector;
            if (result.step == Step::trap) result.fault = x.fault;
            break;
        case Step::fault:
            result.fault = x.fault;
            if (x.fault.after_task_switch) {
                // The instruction is over, and the fault is the new task's at its own address.
                x.vcpu.interrupt_shadow = false;
                break;
            }
            [[fallthrough]];
        case Step::not_here:
            x.vcpu.rip = x.start;
            x.vcpu.rflags |= resume;
            break;
    }
    return result;
}

}  // namespace trapline::executor
