// SPDX-License-Identifier: Apache-2.0
// RET far and IRET (SDM vol. 2, both pages' pseudocode): to the same ring, to an outer one, from and to virtual-8086 mode, and to
// the task that the back link names.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

using namespace detail;

namespace {

/// What both instructions read and check before they part ways. `ss` counts only where the ring changes.
struct Return {
    std::uint32_t offset = 0, pointer = 0;
    Descriptor code, stack;
    bool to_outer_ring = false;
};

MaybeFault read_return_code(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, Return& back) {
    if (is_null(selector)) return Fault::general_protection();
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, Vector::general_protection, 0, back.code)) return fault;
    const Segment& code = back.code.segment;
    const std::uint8_t rpl = rpl_of(selector);
    if (!code.is_code() || rpl < vcpu.cpl || (code.is_conforming() ? code.dpl > rpl : code.dpl != rpl))
        return selector_fault(Vector::general_protection, selector);
    if (!code.present) return selector_fault(Vector::not_present, selector);
    back.to_outer_ring = rpl > vcpu.cpl;
    return {};
}

/// Reads ESP and SS, `skip` bytes above the stack pointer, and checks the segment for the outer ring.
MaybeFault read_outer_stack(const Vcpu& vcpu, LinearMemory& memory, unsigned width, std::uint32_t skip, Return& back) {
    std::uint32_t words[2];
    if (MaybeFault fault = read_stack(vcpu, memory, width, skip, 2, words)) return fault;
    back.pointer = words[0];
    return read_stack_segment(vcpu, memory, static_cast<std::uint16_t>(words[1]), rpl_of(back.code.segment.selector), Vector::general_protection, 0,
                              back.stack);
}

/// The last checks, then the accessed bits: behind it nothing can fault.
MaybeFault finish_checks(LinearMemory& memory, Return& back) {
    if (!is_inside(back.code.segment, back.offset, 1)) return Fault::general_protection();
    if (MaybeFault fault = mark_accessed(memory, back.code)) return fault;
    if (back.to_outer_ring) return mark_accessed(memory, back.stack);
    return {};
}

void enter(Vcpu& vcpu, const Return& back) {
    vcpu.segments[kCs] = back.code.segment;
    vcpu.rip = back.offset;
    if (!back.to_outer_ring) return;
    vcpu.cpl = rpl_of(back.code.segment.selector);
    vcpu.segments[kSs] = back.stack.segment;
    set_stack_pointer(vcpu, back.pointer);
    null_inner_segments(vcpu);
}

void load_flags(Vcpu& vcpu, std::uint32_t value, std::uint64_t mask) { vcpu.rflags = (vcpu.rflags & ~mask) | (value & mask) | flag::fixed; }

constexpr std::uint64_t kAlwaysLoaded = flag::arithmetic | flag::tf | flag::df | flag::nt;

/// IRET in real mode, and in virtual-8086 mode where IOPL allows it: there IOPL itself stays.
MaybeFault interrupt_return_real(Vcpu& vcpu, LinearMemory& memory, unsigned size) {
    if (vcpu.is_v86() && vcpu.iopl() < 3) return Fault::general_protection();
    std::uint32_t words[3];
    if (MaybeFault fault = read_stack(vcpu, memory, size, 0, 3, words)) return fault;
    if (words[0] > (vcpu.is_v86() ? 0xFFFF : vcpu.cs().limit)) return Fault::general_protection();
    set_stack_pointer(vcpu, vcpu.reg32(kRsp) + 3 * size);
    load_real_segment(vcpu, kCs, static_cast<std::uint16_t>(words[1]));
    vcpu.rip = words[0];
    std::uint64_t mask = kAlwaysLoaded | flag::interrupt;
    if (!vcpu.is_v86()) mask |= flag::iopl;
    if (size == 4) mask |= flag::rf | flag::ac | flag::id;
    load_flags(vcpu, words[2], mask);
    return {};
}

/// From CPL 0 to virtual-8086 mode; `words` are EIP, CS and EFLAGS.
MaybeFault return_to_v86(Vcpu& vcpu, LinearMemory& memory, const std::uint32_t* words) {
    std::uint32_t outer[6];  // ESP, SS, ES, DS, FS, GS
    if (MaybeFault fault = read_stack(vcpu, memory, 4, 12, 6, outer)) return fault;
    if (words[0] > 0xFFFF) return Fault::general_protection();
    constexpr std::uint64_t kAll = kAlwaysLoaded | flag::interrupt | flag::iopl | flag::rf | flag::vm | flag::ac | flag::vif | flag::vip | flag::id;
    load_flags(vcpu, words[2], kAll);
    vcpu.cpl = 3;
    vcpu.set_reg32(kRsp, outer[0]);
    vcpu.rip = words[0];
    const std::uint32_t selectors[6] = {outer[2], words[1], outer[1], outer[3], outer[4], outer[5]};
    for (unsigned which = kEs; which <= kGs; ++which)
        load_real_segment(vcpu, static_cast<SegmentRegister>(which), static_cast<std::uint16_t>(selectors[which]));
    return {};
}

MaybeFault return_to_linked_task(Vcpu& vcpu, LinearMemory& memory) {
    std::uint16_t link = 0;
    if (!is_inside(vcpu.tr, 0, 2)) return selector_fault(Vector::invalid_tss, vcpu.tr.selector);
    if (MaybeFault fault = memory.read(linear_of(vcpu.tr, 0), &link, sizeof link, Privilege::supervisor)) return fault;
    return switch_task(vcpu, memory,
                       {.entry = TaskEntry::task_return, .selector = link, .saved_flags = static_cast<std::uint32_t>(vcpu.rflags & ~flag::nt)});
}

}  // namespace

MaybeFault far_return(Vcpu& vcpu, LinearMemory& memory, unsigned size, std::uint16_t release) {
    std::uint32_t words[2];
    if (MaybeFault fault = read_stack(vcpu, memory, size, 0, 2, words)) return fault;
    const auto selector = static_cast<std::uint16_t>(words[1]);
    if (vcpu.has_real_segments()) {
        if (words[0] > (vcpu.is_v86() ? 0xFFFF : vcpu.cs().limit)) return Fault::general_protection();
        set_stack_pointer(vcpu, vcpu.reg32(kRsp) + 2 * size + release);
        load_real_segment(vcpu, kCs, selector);
        vcpu.rip = words[0];
        return {};
    }
    Return back;
    back.offset = words[0];
    if (MaybeFault fault = read_return_code(vcpu, memory, selector, back)) return fault;
    if (back.to_outer_ring)
        if (MaybeFault fault = read_outer_stack(vcpu, memory, size, 2 * size + release, back)) return fault;
    if (MaybeFault fault = finish_checks(memory, back)) return fault;
    if (back.to_outer_ring)
        back.pointer += release;
    else
        set_stack_pointer(vcpu, vcpu.reg32(kRsp) + 2 * size + release);
    enter(vcpu, back);
    return {};
}

MaybeFault interrupt_return(Vcpu& vcpu, LinearMemory& memory, unsigned size) {
    if (vcpu.has_real_segments()) return interrupt_return_real(vcpu, memory, size);
    if ((vcpu.rflags & flag::nt) != 0) return return_to_linked_task(vcpu, memory);
    std::uint32_t words[3];
    if (MaybeFault fault = read_stack(vcpu, memory, size, 0, 3, words)) return fault;
    if (size == 4 && (words[2] & flag::vm) != 0 && vcpu.cpl == 0) return return_to_v86(vcpu, memory, words);
    Return back;
    back.offset = words[0];
    if (MaybeFault fault = read_return_code(vcpu, memory, static_cast<std::uint16_t>(words[1]), back)) return fault;
    if (back.to_outer_ring)
        if (MaybeFault fault = read_outer_stack(vcpu, memory, size, 3 * size, back)) return fault;
    if (MaybeFault fault = finish_checks(memory, back)) return fault;
    // The ring that executes IRET decides which flags it may write, not the one it returns to.
    std::uint64_t mask = kAlwaysLoaded;
    if (size == 4) mask |= flag::rf | flag::ac | flag::id;
    if (vcpu.cpl <= vcpu.iopl()) mask |= flag::interrupt;
    if (vcpu.cpl == 0) mask |= size == 4 ? flag::iopl | flag::vif | flag::vip : flag::iopl;
    load_flags(vcpu, words[2], mask);
    if (!back.to_outer_ring) set_stack_pointer(vcpu, vcpu.reg32(kRsp) + 3 * size);
    enter(vcpu, back);
    return {};
}

}  // namespace trapline::executor
