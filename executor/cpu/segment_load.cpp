// SPDX-License-Identifier: Apache-2.0
// Loads of segment, LDT and task registers, and the segment checks that transfers share with them.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

void load_real_segment(Vcpu& vcpu, SegmentRegister which, std::uint16_t selector) {
    Segment& segment = vcpu.segments[which];
    if (vcpu.is_v86()) segment = {.dpl = 3};
    segment.selector = selector;
    segment.base = std::uint32_t{selector} << 4;
    segment.present = true;
    // Code that has left protected mode by a far jump writes through CS overrides: CS has the access rights of reset again.
    if (which == kCs && !vcpu.is_v86()) segment.type = 3, segment.system = false, segment.dpl = 0;
}

MaybeFault load_segment(Vcpu& vcpu, LinearMemory& memory, SegmentRegister which, std::uint16_t selector) {
    if (vcpu.has_real_segments()) {
        load_real_segment(vcpu, which, selector);
        return {};
    }
    if (which != kSs) return detail::load_data_segment(vcpu, memory, which, selector, Vector::general_protection, 0);
    detail::Descriptor descriptor;
    if (MaybeFault fault = detail::read_stack_segment(vcpu, memory, selector, vcpu.cpl, Vector::general_protection, 0, descriptor)) return fault;
    if (MaybeFault fault = detail::mark_accessed(memory, descriptor)) return fault;
    vcpu.segments[kSs] = descriptor.segment;
    return {};
}

MaybeFault load_ldtr(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector) {
    return detail::load_local_table(vcpu, memory, selector, Vector::general_protection, Vector::not_present, 0);
}

MaybeFault load_tr(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector) {
    using namespace detail;
    if (is_null(selector)) return Fault::general_protection();
    if ((selector & 4) != 0) return selector_fault(Vector::general_protection, selector);
    Descriptor descriptor;
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, Vector::general_protection, 0, descriptor)) return fault;
    Segment& task = descriptor.segment;
    if (!task.system || (task.type != kTss16Available && task.type != kTss32Available)) return selector_fault(Vector::general_protection, selector);
    if (!task.present) return selector_fault(Vector::not_present, selector);
    const auto busy = static_cast<std::uint8_t>((descriptor.raw >> 40 & 0xFF) | 2);
    if (MaybeFault fault = memory.write(static_cast<std::uint32_t>(descriptor.address + 5), &busy, 1, Privilege::supervisor)) return fault;
    task.type |= 2;
    vcpu.tr = task;
    return {};
}

namespace detail {

MaybeFault read_stack_segment(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint8_t privilege, Vector invalid, std::uint32_t ext,
                              Descriptor& out) {
    if (is_null(selector)) return selector_fault(invalid, 0, ext);
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, invalid, ext, out)) return fault;
    const Segment& stack = out.segment;
    if (rpl_of(selector) != privilege || stack.dpl != privilege || !stack.is_writable()) return selector_fault(invalid, selector, ext);
    if (!stack.present) return selector_fault(Vector::stack_fault, selector, ext);
    return {};
}

MaybeFault load_data_segment(Vcpu& vcpu, LinearMemory& memory, SegmentRegister which, std::uint16_t selector, Vector invalid, std::uint32_t ext) {
    if (is_null(selector)) {
        vcpu.segments[which] = null_segment(selector);
        return {};
    }
    Descriptor descriptor;
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, invalid, ext, descriptor)) return fault;
    const Segment& segment = descriptor.segment;
    if (!segment.is_readable()) return selector_fault(invalid, selector, ext);
    if (!segment.is_conforming() && (rpl_of(selector) > segment.dpl || vcpu.cpl > segment.dpl)) return selector_fault(invalid, selector, ext);
    if (!segment.present) return selector_fault(Vector::not_present, selector, ext);
    if (MaybeFault fault = mark_accessed(memory, descriptor)) return fault;
    vcpu.segments[which] = segment;
    return {};
}

MaybeFault load_local_table(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, Vector invalid, Vector missing, std::uint32_t ext) {
    if (is_null(selector)) {
        vcpu.ldtr = {.selector = selector, .type = kLdt, .system = true, .present = false};
        return {};
    }
    if ((selector & 4) != 0) return selector_fault(invalid, selector, ext);
    Descriptor descriptor;
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, invalid, ext, descriptor)) return fault;
    if (!descriptor.segment.system || descriptor.segment.type != kLdt) return selector_fault(invalid, selector, ext);
    if (!descriptor.segment.present) return selector_fault(missing, selector, ext);
    vcpu.ldtr = descriptor.segment;
    return {};
}

MaybeFault read_gate_target(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t ext, Descriptor& out) {
    if (is_null(selector)) return selector_fault(Vector::general_protection, 0, ext);
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, Vector::general_protection, ext, out)) return fault;
    if (!out.segment.is_code() || out.segment.dpl > vcpu.cpl) return selector_fault(Vector::general_protection, selector, ext);
    if (!out.segment.present) return selector_fault(Vector::not_present, selector, ext);
    return {};
}

MaybeFault read_inner_stack(const Vcpu& vcpu, LinearMemory& memory, std::uint8_t ring, std::uint32_t ext, InnerStack& out) {
    const bool wide = (vcpu.tr.type & kIs32) != 0;
    // ESP0 stands at 4 and SP0 at 2, behind the back link; SS follows each.
    const std::uint32_t word = wide ? 4 : 2, at = ring * 2 * word + word, size = word + 2;
    if (!is_inside(vcpu.tr, at, size)) return selector_fault(Vector::invalid_tss, vcpu.tr.selector, ext);
    std::uint8_t bytes[6] = {};
    if (MaybeFault fault = memory.read(linear_of(vcpu.tr, at), bytes, size, Privilege::supervisor)) return fault;
    std::uint16_t selector = 0;
    std::memcpy(&out.pointer, bytes, word);
    std::memcpy(&selector, bytes + word, 2);
    return read_stack_segment(vcpu, memory, selector, ring, Vector::invalid_tss, ext, out.segment);
}

void null_inner_segments(Vcpu& vcpu) {
    for (const SegmentRegister which : {kEs, kDs, kFs, kGs}) {
        Segment& segment = vcpu.segments[which];
        if (!segment.present || (!segment.is_conforming() && segment.dpl < vcpu.cpl)) segment = null_segment(0);
    }
}

}  // namespace detail
}  // namespace trapline::executor
