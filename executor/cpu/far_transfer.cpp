// SPDX-License-Identifier: Apache-2.0
// Far JMP and CALL: to code, through call gates, and to tasks (SDM vol. 2, JMP and CALL; vol. 3, "Privilege Level Checking When
// Transferring Program Control Between Code Segments"). Checks come in the order of the manual's pseudocode.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

using namespace detail;

namespace {

enum class Transfer : std::uint8_t { jump, call };

void enter_code(Vcpu& vcpu, const Segment& code, std::uint8_t cpl, std::uint32_t offset) {
    vcpu.segments[kCs] = code;
    vcpu.segments[kCs].selector = with_rpl(code.selector, cpl);
    vcpu.cpl = cpl;
    vcpu.rip = offset;
}

/// Pushes CS and the return address on the current stack and enters `code` at the current CPL; a jump pushes nothing.
MaybeFault transfer_within_ring(Vcpu& vcpu, LinearMemory& memory, Transfer how, Descriptor& code, std::uint32_t offset, unsigned width) {
    PushFrame frame(width);
    if (how == Transfer::call) {
        frame.push(vcpu.cs().selector);
        frame.push(static_cast<std::uint32_t>(vcpu.rip));
        if (MaybeFault fault = frame.check_room(vcpu.ss(), vcpu.reg32(kRsp), 0)) return fault;
    }
    if (!is_inside(code.segment, offset, 1)) return Fault::general_protection();
    if (MaybeFault fault = mark_accessed(memory, code)) return fault;
    if (how == Transfer::call) {
        if (MaybeFault fault = frame.write(memory, vcpu.ss(), vcpu.reg32(kRsp), privilege_of(vcpu.cpl))) return fault;
        set_stack_pointer(vcpu, vcpu.reg32(kRsp) - frame.size());
    }
    enter_code(vcpu, code.segment, vcpu.cpl, offset);
    return {};
}

/// CALL through a gate to an inner ring: onto the stack that the TSS has for it, with the gate's number of parameters.
MaybeFault call_inner_ring(Vcpu& vcpu, LinearMemory& memory, const Gate& gate, Descriptor& code) {
    const std::uint8_t ring = code.segment.dpl;
    InnerStack stack;
    if (MaybeFault fault = read_inner_stack(vcpu, memory, ring, 0, stack)) return fault;
    std::uint32_t parameters[kMostPopped];
    const unsigned width = gate.width();
    PushFrame frame(width);
    frame.push(vcpu.ss().selector);
    frame.push(vcpu.reg32(kRsp));
    if (MaybeFault fault = read_stack(vcpu, memory, width, 0, gate.parameters, parameters)) return fault;
    for (unsigned i = gate.parameters; i-- > 0;) frame.push(parameters[i]);
    frame.push(vcpu.cs().selector);
    frame.push(static_cast<std::uint32_t>(vcpu.rip));
    const Segment& ss = stack.segment.segment;
    if (MaybeFault fault = frame.check_room(ss, stack.pointer, ss.selector & 0xFFFCu)) return fault;
    if (!is_inside(code.segment, gate.offset, 1)) return Fault::general_protection();
    if (MaybeFault fault = mark_accessed(memory, stack.segment)) return fault;
    if (MaybeFault fault = mark_accessed(memory, code)) return fault;
    if (MaybeFault fault = frame.write(memory, ss, stack.pointer, privilege_of(ring))) return fault;
    vcpu.segments[kSs] = ss;
    set_stack_pointer(vcpu, stack.pointer - frame.size());
    enter_code(vcpu, code.segment, ring, gate.offset);
    return {};
}

MaybeFault transfer_through_gate(Vcpu& vcpu, LinearMemory& memory, Transfer how, std::uint16_t selector, const Gate& gate) {
    if (gate.dpl < vcpu.cpl || gate.dpl < rpl_of(selector)) return selector_fault(Vector::general_protection, selector);
    if (!gate.present) return selector_fault(Vector::not_present, selector);
    if (gate.type == kTaskGate)
        return switch_task(vcpu, memory,
                           {.entry = how == Transfer::call ? TaskEntry::nest : TaskEntry::jump,
                            .selector = gate.selector,
                            .saved_flags = static_cast<std::uint32_t>(vcpu.rflags)});
    Descriptor code;
    MaybeFault fault = read_gate_target(vcpu, memory, gate.selector, 0, code);
    const bool inward = code.segment.is_code() && !code.segment.is_conforming() && code.segment.dpl < vcpu.cpl;
    // A jump cannot change rings; the manual tests that before presence.
    if (how == Transfer::jump && inward) return selector_fault(Vector::general_protection, gate.selector);
    if (fault) return fault;
    if (inward) return call_inner_ring(vcpu, memory, gate, code);
    return transfer_within_ring(vcpu, memory, how, code, gate.offset, gate.width());
}

MaybeFault transfer_to_code(Vcpu& vcpu, LinearMemory& memory, Transfer how, Descriptor& code, std::uint32_t offset, unsigned width) {
    const std::uint16_t selector = code.segment.selector;
    const bool allowed = code.segment.is_conforming() ? code.segment.dpl <= vcpu.cpl
                                                      : rpl_of(selector) <= vcpu.cpl && code.segment.dpl == vcpu.cpl;
    if (!allowed) return selector_fault(Vector::general_protection, selector);
    if (!code.segment.present) return selector_fault(Vector::not_present, selector);
    return transfer_within_ring(vcpu, memory, how, code, offset, width);
}

MaybeFault transfer_protected(Vcpu& vcpu, LinearMemory& memory, Transfer how, std::uint16_t selector, std::uint32_t offset, unsigned width) {
    if (is_null(selector)) return Fault::general_protection();
    Descriptor target;
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, Vector::general_protection, 0, target)) return fault;
    if (target.segment.is_code()) return transfer_to_code(vcpu, memory, how, target, offset, width);
    if (!target.segment.system) return selector_fault(Vector::general_protection, selector);
    switch (target.segment.type) {
        case kCallGate16:
        case kCallGate32:
        case kTaskGate: return transfer_through_gate(vcpu, memory, how, selector, parse_gate(target.raw));
        case kTss16Available:
        case kTss32Available:
        case kTss16Busy:
        case kTss32Busy:
            if (target.segment.dpl < vcpu.cpl || target.segment.dpl < rpl_of(selector)) break;
            return switch_task(vcpu, memory,
                               {.entry = how == Transfer::call ? TaskEntry::nest : TaskEntry::jump,
                                .selector = selector,
                                .saved_flags = static_cast<std::uint32_t>(vcpu.rflags)});
    }
    return selector_fault(Vector::general_protection, selector);
}

MaybeFault transfer_real(Vcpu& vcpu, LinearMemory& memory, Transfer how, std::uint16_t selector, std::uint32_t offset, unsigned width) {
    PushFrame frame(width);
    if (how == Transfer::call) {
        frame.push(vcpu.cs().selector);
        frame.push(static_cast<std::uint32_t>(vcpu.rip));
        if (MaybeFault fault = frame.check_room(vcpu.ss(), vcpu.reg32(kRsp), 0)) return fault;
    }
    // CS keeps its limit in real mode, and has this one in virtual-8086 mode.
    if (offset > (vcpu.is_v86() ? 0xFFFF : vcpu.cs().limit)) return Fault::general_protection();
    if (how == Transfer::call) {
        if (MaybeFault fault = frame.write(memory, vcpu.ss(), vcpu.reg32(kRsp), privilege_of(vcpu.cpl))) return fault;
        set_stack_pointer(vcpu, vcpu.reg32(kRsp) - frame.size());
    }
    load_real_segment(vcpu, kCs, selector);
    vcpu.rip = offset;
    return {};
}

MaybeFault transfer(Vcpu& vcpu, LinearMemory& memory, Transfer how, std::uint16_t selector, std::uint32_t offset, unsigned size) {
    if (size == 2) offset &= 0xFFFF;
    if (vcpu.has_real_segments()) return transfer_real(vcpu, memory, how, selector, offset, size);
    return transfer_protected(vcpu, memory, how, selector, offset, size);
}

}  // namespace

MaybeFault far_jump(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t offset, unsigned size) {
    return transfer(vcpu, memory, Transfer::jump, selector, offset, size);
}

MaybeFault far_call(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t offset, unsigned size) {
    return transfer(vcpu, memory, Transfer::call, selector, offset, size);
}

}  // namespace trapline::executor
