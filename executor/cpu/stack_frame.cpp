// SPDX-License-Identifier: Apache-2.0
// Pushes and pops of several words at once. Almost always a frame is one range of offsets and costs one access; where the stack
// pointer wraps around, its words are checked and written one by one.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor::detail {

bool PushFrame::is_contiguous(const Segment& stack, std::uint32_t pointer, std::uint32_t& first) const {
    const std::uint32_t mask = stack_mask(stack);
    first = (pointer - size()) & mask;
    return first <= mask - (size() - 1);
}

MaybeFault PushFrame::check_room(const Segment& stack, std::uint32_t pointer, std::uint32_t error_code) const {
    std::uint32_t first = 0;
    if (is_contiguous(stack, pointer, first)) {
        if (!is_inside(stack, first, size())) return Fault::stack_fault(error_code);
        return {};
    }
    for (std::uint32_t down = width_; down <= size(); down += width_)
        if (!is_inside(stack, (pointer - down) & stack_mask(stack), width_)) return Fault::stack_fault(error_code);
    return {};
}

MaybeFault PushFrame::write(LinearMemory& memory, const Segment& stack, std::uint32_t pointer, Privilege privilege) const {
    std::uint32_t first = 0;
    if (is_contiguous(stack, pointer, first)) return memory.write(linear_of(stack, first), bytes_ + at_, size(), privilege);
    for (const bool check : {true, false})
        for (std::uint32_t down = width_; down <= size(); down += width_) {
            const std::uint32_t linear = linear_of(stack, (pointer - down) & stack_mask(stack));
            MaybeFault fault =
                check ? memory.check_write(linear, width_, privilege) : memory.write(linear, bytes_ + kBytes - down, width_, privilege);
            if (fault) return fault;
        }
    return {};
}

MaybeFault read_stack(const Vcpu& vcpu, LinearMemory& memory, unsigned width, std::uint32_t skip, unsigned count, std::uint32_t* words) {
    const Segment& stack = vcpu.ss();
    const std::uint32_t mask = stack_mask(stack), first = (vcpu.reg32(kRsp) + skip) & mask, size = width * count;
    const Privilege privilege = privilege_of(vcpu.cpl);
    std::uint8_t bytes[kMostPopped * 4];
    if (size == 0) return {};
    if (first <= mask - (size - 1)) {
        if (!is_inside(stack, first, size)) return Fault::stack_fault();
        if (MaybeFault fault = memory.read(linear_of(stack, first), bytes, size, privilege)) return fault;
    } else {
        for (std::uint32_t up = 0; up < size; up += width) {
            const std::uint32_t offset = (first + up) & mask;
            if (!is_inside(stack, offset, width)) return Fault::stack_fault();
            if (MaybeFault fault = memory.read(linear_of(stack, offset), bytes + up, width, privilege)) return fault;
        }
    }
    if (width == 4) {
        std::memcpy(words, bytes, size);
        return {};
    }
    for (unsigned i = 0; i < count; ++i) {
        std::uint16_t word = 0;
        std::memcpy(&word, bytes + 2 * i, 2);
        words[i] = word;
    }
    return {};
}

}  // namespace trapline::executor::detail
