// SPDX-License-Identifier: Apache-2.0
// Delivery of exceptions and interrupts through the IVT or the IDT (SDM vol. 2, INT n, pseudocode; vol. 3, "Interrupt and
// Exception Handling"), and what follows when delivery itself faults.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

using namespace detail;

namespace {

/// An error code that names an IDT entry.
Fault vector_fault(Vector vector, std::uint8_t entry, std::uint32_t ext) { return {vector, entry * 8u + 2 + ext}; }

/// EFLAGS as the handler finds them on its stack.
std::uint32_t pushed_flags(const Vcpu& vcpu, const Event& event) {
    // Instruction breakpoints are faults that push RF as it was; aborts do not restart (SDM vol. 3, "Instruction-Breakpoint
    // Exception Condition").
    const bool restarts = event.kind == EventKind::fault && event.vector != static_cast<std::uint8_t>(Vector::debug) &&
                          event.vector != static_cast<std::uint8_t>(Vector::double_fault) &&
                          event.vector != static_cast<std::uint8_t>(Vector::machine_check);
    return static_cast<std::uint32_t>(vcpu.rflags | (restarts ? flag::rf : 0));
}

MaybeFault deliver_real(Vcpu& vcpu, LinearMemory& memory, const Event& event) {
    const std::uint32_t at = event.vector * 4u;
    if (at + 3 > vcpu.idtr.limit) return vector_fault(Vector::general_protection, event.vector, 0);
    std::uint16_t entry[2];  // IP, CS
    if (MaybeFault fault = memory.read(static_cast<std::uint32_t>(vcpu.idtr.base + at), entry, sizeof entry, Privilege::supervisor)) return fault;
    PushFrame frame(2);
    frame.push(static_cast<std::uint32_t>(vcpu.rflags));
    frame.push(vcpu.cs().selector);
    frame.push(static_cast<std::uint32_t>(vcpu.rip));
    if (MaybeFault fault = frame.check_room(vcpu.ss(), vcpu.reg32(kRsp), 0)) return fault;
    if (entry[0] > vcpu.cs().limit) return Fault::general_protection();
    if (MaybeFault fault = frame.write(memory, vcpu.ss(), vcpu.reg32(kRsp), Privilege::supervisor)) return fault;
    set_stack_pointer(vcpu, vcpu.reg32(kRsp) - frame.size());
    load_real_segment(vcpu, kCs, entry[1]);
    vcpu.rip = entry[0];
    vcpu.rflags &= ~(flag::interrupt | flag::tf | flag::ac | flag::rf);
    return {};
}

void push_return(const Vcpu& vcpu, const Event& event, PushFrame& frame) {
    frame.push(pushed_flags(vcpu, event));
    frame.push(vcpu.cs().selector);
    frame.push(static_cast<std::uint32_t>(vcpu.rip));
    if (event.error_code) frame.push(*event.error_code);
}

void enter_handler(Vcpu& vcpu, const Gate& gate, const Segment& code, std::uint8_t cpl) {
    vcpu.segments[kCs] = code;
    vcpu.segments[kCs].selector = with_rpl(code.selector, cpl);
    vcpu.cpl = cpl;
    vcpu.rip = gate.offset;
    vcpu.rflags &= ~(flag::tf | flag::nt | flag::rf | flag::vm);
    if (gate.type == kInterruptGate16 || gate.type == kInterruptGate32) vcpu.rflags &= ~flag::interrupt;
}

/// To an inner ring, on the stack that the TSS has for it; from virtual-8086 mode with the data segments, which become null.
MaybeFault deliver_inward(Vcpu& vcpu, LinearMemory& memory, const Event& event, const Gate& gate, Descriptor& code, std::uint32_t ext) {
    const std::uint8_t ring = code.segment.dpl;
    const bool from_v86 = vcpu.is_v86();
    InnerStack stack;
    if (MaybeFault fault = read_inner_stack(vcpu, memory, ring, ext, stack)) return fault;
    PushFrame frame(gate.width());
    if (from_v86)
        for (const SegmentRegister which : {kGs, kFs, kDs, kEs}) frame.push(vcpu.segments[which].selector);
    frame.push(vcpu.ss().selector);
    frame.push(vcpu.reg32(kRsp));
    push_return(vcpu, event, frame);
    const Segment& ss = stack.segment.segment;
    if (MaybeFault fault = frame.check_room(ss, stack.pointer, (ss.selector & 0xFFFCu) | ext)) return fault;
    if (!is_inside(code.segment, gate.offset, 1)) return Fault::general_protection(ext);
    if (MaybeFault fault = mark_accessed(memory, stack.segment)) return fault;
    if (MaybeFault fault = mark_accessed(memory, code)) return fault;
    if (MaybeFault fault = frame.write(memory, ss, stack.pointer, privilege_of(ring))) return fault;
    vcpu.segments[kSs] = ss;
    set_stack_pointer(vcpu, stack.pointer - frame.size());
    if (from_v86)
        for (const SegmentRegister which : {kGs, kFs, kDs, kEs}) vcpu.segments[which] = null_segment(0);
    enter_handler(vcpu, gate, code.segment, ring);
    return {};
}

MaybeFault deliver_within_ring(Vcpu& vcpu, LinearMemory& memory, const Event& event, const Gate& gate, Descriptor& code, std::uint32_t ext) {
    PushFrame frame(gate.width());
    push_return(vcpu, event, frame);
    if (MaybeFault fault = frame.check_room(vcpu.ss(), vcpu.reg32(kRsp), ext)) return fault;
    if (!is_inside(code.segment, gate.offset, 1)) return Fault::general_protection(ext);
    if (MaybeFault fault = mark_accessed(memory, code)) return fault;
    if (MaybeFault fault = frame.write(memory, vcpu.ss(), vcpu.reg32(kRsp), privilege_of(vcpu.cpl))) return fault;
    set_stack_pointer(vcpu, vcpu.reg32(kRsp) - frame.size());
    enter_handler(vcpu, gate, code.segment, vcpu.cpl);
    return {};
}

MaybeFault deliver_protected(Vcpu& vcpu, LinearMemory& memory, const Event& event) {
    const bool software = event.kind == EventKind::software_interrupt;
    const std::uint32_t ext = software ? 0 : 1;
    if (software && vcpu.is_v86() && vcpu.iopl() < 3 && event.vector != static_cast<std::uint8_t>(Vector::breakpoint) &&
        event.vector != static_cast<std::uint8_t>(Vector::overflow))
        return Fault::general_protection();
    const std::uint32_t at = event.vector * 8u;
    if (at + 7 > vcpu.idtr.limit) return vector_fault(Vector::general_protection, event.vector, ext);
    std::uint64_t raw = 0;
    if (MaybeFault fault = memory.read(static_cast<std::uint32_t>(vcpu.idtr.base + at), &raw, sizeof raw, Privilege::supervisor)) return fault;
    const Gate gate = parse_gate(raw);
    // Task, interrupt and trap gates: 5, 6, 7 and, but for task gates, their 32-bit siblings 14 and 15.
    const bool is_event_gate = gate.system && (gate.type == kTaskGate || (gate.type & ~kIs32 & ~1u) == kInterruptGate16);
    if (!is_event_gate) return vector_fault(Vector::general_protection, event.vector, ext);
    if (software && gate.dpl < vcpu.cpl) return vector_fault(Vector::general_protection, event.vector, 0);
    if (!gate.present) return vector_fault(Vector::not_present, event.vector, ext);
    if (gate.type == kTaskGate)
        return switch_task(vcpu, memory,
                           {.entry = TaskEntry::nest,
                            .selector = gate.selector,
                            .saved_flags = pushed_flags(vcpu, event),
                            .ext = ext,
                            .error_code = event.error_code});
    Descriptor code;
    if (MaybeFault fault = read_gate_target(vcpu, memory, gate.selector, ext, code)) return fault;
    const bool inward = !code.segment.is_conforming() && code.segment.dpl < vcpu.cpl;
    if (vcpu.is_v86() && (!inward || code.segment.dpl != 0)) return selector_fault(Vector::general_protection, gate.selector, ext);
    if (inward) return deliver_inward(vcpu, memory, event, gate, code, ext);
    return deliver_within_ring(vcpu, memory, event, gate, code, ext);
}

bool is_exception(const Event& event) { return event.kind == EventKind::fault || event.kind == EventKind::trap; }
bool is_exception(const Event& event, Vector vector) { return is_exception(event) && event.vector == static_cast<std::uint8_t>(vector); }

/// Classes of SDM vol. 3, table "Interrupt and Exception Classes", and #DF, which has rules of its own.
enum class Class : std::uint8_t { benign, contributory, page_fault, double_fault };

Class class_of(std::uint8_t vector) {
    constexpr std::uint32_t kContributory = 1u << 0 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13;
    if (vector == static_cast<std::uint8_t>(Vector::double_fault)) return Class::double_fault;
    if (vector == static_cast<std::uint8_t>(Vector::page_fault)) return Class::page_fault;
    return vector < 32 && (kContributory >> vector & 1) != 0 ? Class::contributory : Class::benign;
}

bool makes_double_fault(Class first, Class second) {
    return (first == Class::contributory && second == Class::contributory) || (first == Class::page_fault && second != Class::benign);
}

/// Delivery meets at most a benign event, a contributory one, a page fault, #DF and shutdown, one after the other. Traps of T bits
/// start that anew, and no arrangement of tasks may keep the monitor here.
constexpr unsigned kMostRounds = 16;

}  // namespace

MaybeFault deliver_once(Vcpu& vcpu, LinearMemory& memory, const Event& event) {
    MaybeFault fault = vcpu.is_protected() ? deliver_protected(vcpu, memory, event) : deliver_real(vcpu, memory, event);
    if (fault && !fault->after_task_switch) return fault;
    vcpu.interrupt_shadow = vcpu.halted = false;
    if (is_exception(event, Vector::page_fault)) vcpu.cr2 = event.address;
    // The handler may use the debug registers (SDM vol. 3, "Debug Control Register", GD).
    if (is_exception(event, Vector::debug)) vcpu.dr[7] &= ~std::uint64_t{1u << 13};
    return fault;
}

Delivery deliver(Vcpu& vcpu, LinearMemory& memory, const Event& event) {
    Event current = event;
    Class first = is_exception(event) ? class_of(event.vector) : Class::benign;
    for (unsigned round = 0; round < kMostRounds; ++round) {
        // The processor sets CR2 when it finds the page fault, delivered or not.
        if (is_exception(current, Vector::page_fault)) vcpu.cr2 = current.address;
        const MaybeFault fault = deliver_once(vcpu, memory, current);
        if (!fault) return Delivery::delivered;
        const auto vector = static_cast<std::uint8_t>(fault->vector);
        if (fault->after_task_switch && fault->vector == Vector::debug) {
            // Delivered; the trap of the new task's T bit is an event of its own.
            current = {.kind = EventKind::trap, .vector = vector};
            first = Class::benign;
            continue;
        }
        if (current.kind == EventKind::software_interrupt && !fault->after_task_switch)
            vcpu.rip = (vcpu.rip - current.instruction_length) & (vcpu.cs().big ? 0xFFFFFFFF : 0xFFFF);
        const Class second = class_of(vector);
        if (first == Class::double_fault && second != Class::benign) return Delivery::triple_fault;
        if (makes_double_fault(first, second)) {
            if (fault->vector == Vector::page_fault) vcpu.cr2 = fault->address;
            current = {.kind = EventKind::fault, .vector = static_cast<std::uint8_t>(Vector::double_fault), .error_code = 0};
            first = Class::double_fault;
        } else {
            current = {.kind = EventKind::fault, .vector = vector, .error_code = fault->error_code, .address = fault->address};
            first = second;
        }
    }
    return Delivery::triple_fault;
}

}  // namespace trapline::executor
