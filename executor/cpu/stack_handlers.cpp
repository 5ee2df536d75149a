// SPDX-License-Identifier: Apache-2.0
// Executes pushes, pops, stack frames and loads of segment registers. The stack pointer is ESP or SP as SS.B says.
#include "executor/cpu/handlers.h"
#include "executor/cpu/protection.h"

namespace trapline::executor::handlers {
namespace {

/// Loads a segment register other than CS. Loads of SS by MOV and POP keep interrupts away for one more instruction.
bool load(Execution& x, unsigned which, std::uint32_t selector) {
    const SegmentRegister segment = static_cast<SegmentRegister>(which);
    const std::uint16_t value = static_cast<std::uint16_t>(selector);
    if (x.vcpu.has_real_segments()) {
        load_real_segment(x.vcpu, segment, value);
        return true;
    }
    return x.passed(load_segment(x.vcpu, x.memory, segment, value));
}

/// The segment register in bits 3 to 5 of the opcodes that push and pop one, in both maps.
unsigned segment_of(const Execution& x) { return (x.opcode >> 3) & 7; }

}  // namespace

Step push_reg(Execution& x) { return x.push(x.get(x.opcode & 7, x.size), x.size) ? Step::done : Step::fault; }

Step pop_reg(Execution& x) {
    std::uint32_t value;
    if (!x.peek(value, x.size)) return Step::fault;
    x.release(x.size);
    x.put(x.opcode & 7, value, x.size);  // behind the increment: POP ESP loads what was on the stack
    return Step::done;
}

Step push_imm(Execution& x) { return x.push(x.imm, x.size) ? Step::done : Step::fault; }

Step pop_rm(Execution& x) {
    if (x.reg() != 0) return x.invalid();
    std::uint32_t value;
    if (!x.peek(value, x.size)) return Step::fault;
    const std::uint64_t before = x.vcpu.gpr[kRsp];
    x.release(x.size);
    // An address based on ESP is computed with its value after the increment (SDM vol. 2, POP).
    if (x.is_memory && x.base == kRsp) x.offset += static_cast<std::uint32_t>(x.vcpu.gpr[kRsp] - before);
    if (x.store(value)) return Step::done;
    x.vcpu.gpr[kRsp] = before;
    return Step::fault;
}

Step pusha(Execution& x) {
    const std::uint32_t top = x.stack_pointer();
    // All eight places are checked before the first is written.
    for (unsigned i = 1; i <= 8; ++i)
        if (!x.check_write(kSs, (top - i * x.size) & x.stack_mask(), x.size)) return Step::fault;
    for (unsigned i = 0; i < 8; ++i)
        if (!x.write(kSs, (top - (i + 1) * x.size) & x.stack_mask(), x.get(i, x.size), x.size)) return Step::fault;
    x.set_stack_pointer(top - 8 * x.size);
    return Step::done;
}

Step popa(Execution& x) {
    const std::uint32_t top = x.stack_pointer();
    std::uint32_t values[8];
    for (unsigned i = 0; i < 8; ++i)
        if (!x.read(kSs, (top + (7 - i) * x.size) & x.stack_mask(), values[i], x.size)) return Step::fault;
    for (unsigned i = 0; i < 8; ++i)
        if (i != kRsp) x.put(i, values[i], x.size);
    x.set_stack_pointer(top + 8 * x.size);
    return Step::done;
}

Step enter(Execution& x) {
    const unsigned level = x.imm2 & 31, size = x.size;
    const std::uint32_t mask = x.stack_mask(), top = x.stack_pointer();
    const std::uint32_t bottom = (top - (level + 1) * size - (x.imm & 0xFFFF)) & mask;
    for (unsigned i = 1; i <= level + 1; ++i)
        if (!x.check_write(kSs, (top - i * size) & mask, size)) return Step::fault;
    // A write at the final stack pointer must be possible, too (SDM vol. 2, ENTER, exceptions).
    if (!x.check_write(kSs, bottom, size)) return Step::fault;
    // From here on only a read of an outer frame can fault: it leaves values below the stack pointer, as CPUs do.
    const std::uint32_t frame = (top - size) & mask;
    std::uint32_t at = frame, value;
    if (!x.write(kSs, at, x.get(kRbp, size), size)) return Step::fault;
    for (unsigned i = 1; i <= level; ++i) {
        value = frame | (x.get(kRsp, size) & ~mask);  // a doubleword of ESP, whatever the stack's size
        if (i < level && !x.read(kSs, (x.get(kRbp, 4) - i * size) & mask, value, size)) return Step::fault;
        at = (at - size) & mask;
        if (!x.write(kSs, at, value, size)) return Step::fault;
    }
    x.put(kRbp, frame, x.vcpu.ss().big ? 4 : 2);
    x.set_stack_pointer(bottom);
    return Step::done;
}

Step leave(Execution& x) {
    const std::uint32_t frame = x.get(kRbp, 4) & x.stack_mask();
    std::uint32_t value;
    if (!x.read(kSs, frame, value, x.size)) return Step::fault;
    x.set_stack_pointer(frame + x.size);
    x.put(kRbp, value, x.size);
    return Step::done;
}

Step push_segment(Execution& x) { return x.push(x.vcpu.segments[segment_of(x)].selector, x.size) ? Step::done : Step::fault; }

Step pop_segment(Execution& x) {
    const unsigned which = segment_of(x);
    const std::uint32_t behind = x.stack_pointer() + x.size;
    const unsigned width = x.vcpu.ss().big ? 4 : 2;  // of the stack that is popped, not of the one that SS gets
    std::uint32_t value;
    if (!x.peek(value, x.size) || !load(x, which, value)) return Step::fault;
    x.put(kRsp, behind, width);
    x.shadow = which == kSs;
    return Step::done;
}

/// A register is written in whole, memory always gets 16 bits.
Step mov_rm_segment(Execution& x) {
    if (x.reg() > kGs) return x.invalid();
    return x.store(x.vcpu.segments[x.reg()].selector, x.is_memory ? 2 : x.size) ? Step::done : Step::fault;
}

Step mov_segment_rm(Execution& x) {
    if (x.reg() > kGs || x.reg() == kCs) return x.invalid();
    std::uint32_t value;
    if (!x.load(value, 2) || !load(x, x.reg(), value)) return Step::fault;
    x.shadow = x.reg() == kSs;
    return Step::done;
}

Step load_far_pointer(Execution& x) {
    if (!x.is_memory) return x.invalid();
    const unsigned which = x.opcode == 0xC4 ? kEs : x.opcode == 0xC5 ? kDs : x.opcode & 7;
    std::uint32_t value, selector;
    if (!x.read(x.segment, x.offset, value, x.size) || !x.read(x.segment, x.offset + x.size, selector, 2) || !load(x, which, selector)) return Step::fault;
    x.put(x.reg(), value, x.size);
    return Step::done;
}

}  // namespace trapline::executor::handlers
