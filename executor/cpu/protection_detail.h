// SPDX-License-Identifier: Apache-2.0
// What the parts of protection.h share: descriptors, the checks that several transfers have in common, stack frames that are
// written whole or not at all, and the task switch. Not for others.
#pragma once

#include <cstring>

#include "executor/cpu/protection.h"

namespace trapline::executor::detail {

/// Types of system descriptors (SDM vol. 3, "System-Segment and Gate-Descriptor Types").
enum SystemType : std::uint8_t {
    kTss16Available = 1, kLdt = 2, kTss16Busy = 3, kCallGate16 = 4, kTaskGate = 5, kInterruptGate16 = 6, kTrapGate16 = 7,
    kTss32Available = 9, kTss32Busy = 11, kCallGate32 = 12, kInterruptGate32 = 14, kTrapGate32 = 15,
};
/// Set in the types of 32-bit gates and TSSs, clear in their 16-bit siblings.
inline constexpr std::uint8_t kIs32 = 8;

inline bool is_null(std::uint16_t selector) { return (selector & 0xFFFC) == 0; }
inline std::uint8_t rpl_of(std::uint16_t selector) { return selector & 3; }
inline std::uint16_t with_rpl(std::uint16_t selector, std::uint8_t rpl) { return static_cast<std::uint16_t>((selector & 0xFFFC) | rpl); }

/// A fault whose error code names a selector; `ext` is the code's EXT bit: 1 while an event is delivered that INT n did not cause.
inline Fault selector_fault(Vector vector, std::uint16_t selector, std::uint32_t ext = 0) { return {vector, (selector & 0xFFFCu) | ext}; }

inline Segment null_segment(std::uint16_t selector) {
    Segment out;
    out.selector = selector;
    out.present = false;
    return out;
}

inline Privilege privilege_of(std::uint8_t cpl) { return cpl == 3 ? Privilege::user : Privilege::supervisor; }

struct Descriptor {
    std::uint64_t raw = 0;
    std::uint32_t address = 0;  ///< linear
    Segment segment;            ///< with the selector it was read for
};

/// A gate's fields; `offset` is cut to 16 bits in a 16-bit gate.
struct Gate {
    std::uint8_t type = 0, dpl = 0, parameters = 0;
    bool system = false, present = false;
    std::uint16_t selector = 0;
    std::uint32_t offset = 0;
    unsigned width() const { return (type & kIs32) != 0 ? 4 : 2; }
};
Gate parse_gate(std::uint64_t descriptor);

/// Field by field in place: a finished Segment would be copied from bytes that are still on their way to memory, which waits for
/// them (a third of the time of a segment load, measured on an AMD EPYC).
inline void parse_into(Segment& out, std::uint64_t descriptor) {
    out.base = (descriptor >> 16 & 0xFFFFFF) | (descriptor >> 32 & 0xFF000000);
    const auto limit = static_cast<std::uint32_t>((descriptor & 0xFFFF) | (descriptor >> 32 & 0xF0000));
    out.granular = (descriptor >> 55 & 1) != 0;
    out.limit = out.granular ? limit << 12 | 0xFFF : limit;
    out.type = descriptor >> 40 & 15;
    out.system = (descriptor >> 44 & 1) == 0;
    out.dpl = descriptor >> 45 & 3;
    out.present = (descriptor >> 47 & 1) != 0;
    out.available = (descriptor >> 52 & 1) != 0;
    out.big = (descriptor >> 54 & 1) != 0;
}

/// Where a selector's descriptor stands; false outside its table's limit or in an LDT that is not there.
inline bool locate(const Vcpu& vcpu, std::uint16_t selector, std::uint32_t& address) {
    const std::uint32_t offset = selector & 0xFFF8;
    if ((selector & 4) == 0) {
        address = static_cast<std::uint32_t>(vcpu.gdtr.base + offset);
        return offset + 7 <= vcpu.gdtr.limit;
    }
    address = static_cast<std::uint32_t>(vcpu.ldtr.base + offset);
    return vcpu.ldtr.present && offset + 7 <= vcpu.ldtr.limit;
}

/// Reads a selector's descriptor; raises `outside` with the selector beyond the table's limit and in an LDT that is not there. A
/// null selector reads entry 0.
MaybeFault read_descriptor(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, Vector outside, std::uint32_t ext, Descriptor& out);
/// Sets the accessed bit of a code or data descriptor, in memory only where it is clear.
MaybeFault mark_accessed(LinearMemory& memory, Descriptor& descriptor);

/// Checks for SS at `privilege`; `invalid` is what all but a missing segment raises. Reads, and marks nothing.
MaybeFault read_stack_segment(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint8_t privilege, Vector invalid, std::uint32_t ext,
                              Descriptor& out);
/// Loads DS, ES, FS or GS with all checks at the current CPL; null selectors load.
MaybeFault load_data_segment(Vcpu& vcpu, LinearMemory& memory, SegmentRegister which, std::uint16_t selector, Vector invalid, std::uint32_t ext);
MaybeFault load_local_table(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, Vector invalid, Vector missing, std::uint32_t ext);
/// Reads a code descriptor that a gate names and checks what all gates check: #GP or #NP.
MaybeFault read_gate_target(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t ext, Descriptor& out);

/// The stack that the TSS keeps for a ring, with its segment read and checked: #TS or #SS.
struct InnerStack {
    std::uint32_t pointer = 0;
    Descriptor segment;
};
MaybeFault read_inner_stack(const Vcpu& vcpu, LinearMemory& memory, std::uint8_t ring, std::uint32_t ext, InnerStack& out);

/// After a return to an outer ring: DS, ES, FS and GS that it must not have become null. Null selectors lose their RPL as
/// well (seen on AMD EPYC and known of Intel's CPUs).
void null_inner_segments(Vcpu& vcpu);

/// Whether offsets [first, first + size) are inside; size > 0.
inline bool is_inside(const Segment& segment, std::uint32_t first, std::uint32_t size) {
    const std::uint32_t last = first + (size - 1);
    if (!segment.present || last < first) return false;
    if (!segment.is_expand_down()) return last <= segment.limit;
    return first > segment.limit && last <= (segment.big ? 0xFFFFFFFF : 0xFFFF);
}

inline std::uint32_t stack_mask(const Segment& stack) { return stack.big ? 0xFFFFFFFF : 0xFFFF; }
inline std::uint32_t linear_of(const Segment& segment, std::uint32_t offset) { return static_cast<std::uint32_t>(segment.base + offset); }
/// Sets ESP, or only SP where SS is a 16-bit segment (`vcpu` has the new SS already).
inline void set_stack_pointer(Vcpu& vcpu, std::uint32_t value) {
    const std::uint32_t mask = stack_mask(vcpu.ss());
    vcpu.set_reg32(kRsp, (vcpu.reg32(kRsp) & ~mask) | (value & mask));
}

/// What one operation pushes. A fault in the middle of it leaves nothing behind.
class PushFrame {
public:
    explicit PushFrame(unsigned width) : width_(width) {}
    /// Pushes below what was pushed before; kMost words at most.
    void push(std::uint32_t value) {
        at_ -= width_;
        if (width_ == 4) {
            std::memcpy(bytes_ + at_, &value, 4);
        } else {
            const auto low = static_cast<std::uint16_t>(value);
            std::memcpy(bytes_ + at_, &low, 2);
        }
    }
    /// Raises #SS with this code unless every word fits below `pointer`.
    MaybeFault check_room(const Segment& stack, std::uint32_t pointer, std::uint32_t error_code) const;
    MaybeFault write(LinearMemory& memory, const Segment& stack, std::uint32_t pointer, Privilege privilege) const;
    std::uint32_t size() const { return kBytes - at_; }

private:
    /// SS, ESP, 31 parameters, CS, EIP.
    static constexpr std::uint32_t kMost = 35, kBytes = kMost * 4;
    /// One range without wrap-around of the stack pointer, which words can straddle.
    bool is_contiguous(const Segment& stack, std::uint32_t pointer, std::uint32_t& first) const;

    unsigned width_;
    std::uint32_t at_ = kBytes;
    std::uint8_t bytes_[kBytes];
};

/// The most words that one read_stack takes.
inline constexpr unsigned kMostPopped = 32;
/// Reads `count` words of `width` bytes as pops would, from `skip` bytes above the stack pointer on, and leaves the pointer.
/// #SS(0) beyond the limit.
MaybeFault read_stack(const Vcpu& vcpu, LinearMemory& memory, unsigned width, std::uint32_t skip, unsigned count, std::uint32_t* words);

/// How a task comes to run, which decides about busy bits, NT and the back link.
enum class TaskEntry : std::uint8_t { jump, nest, task_return };
struct TaskSwitch {
    TaskEntry entry = TaskEntry::jump;
    std::uint16_t selector = 0;               ///< of the new TSS
    std::uint32_t saved_flags = 0;            ///< for the old TSS
    std::uint32_t ext = 0;
    std::optional<std::uint32_t> error_code;  ///< pushed on the new task's stack
};
/// Checks the TSS's descriptor, but not its DPL, and switches. Faults before the switch leave everything as it was; those behind
/// it have Fault::after_task_switch.
MaybeFault switch_task(Vcpu& vcpu, LinearMemory& memory, const TaskSwitch& change);

}  // namespace trapline::executor::detail
