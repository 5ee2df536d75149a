// SPDX-License-Identifier: Apache-2.0
// Protection as instructions meet it: descriptor loads with all their checks, transfers between segments and rings, tasks,
// and the delivery of exceptions and interrupts (SDM vol. 3, "Protection", "Interrupt and Exception Handling", "Task
// Management"; APM vol. 2, same chapters). Real and virtual-8086 mode included; 64-bit mode not.
#pragma once

#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"

namespace trapline::executor {

/// Reads a descriptor's 8 bytes as a Segment (without selector): base, limit in bytes, type, DPL, present, D/B, G, AVL.
Segment parse_descriptor(std::uint64_t descriptor);
/// The segment that a selector names in real and virtual-8086 mode: base 16 * selector. In real mode limit and type stay as
/// they were ("unreal" mode), but CS becomes writable data as after reset; in virtual-8086 mode they are fixed.
void load_real_segment(Vcpu& vcpu, SegmentRegister which, std::uint16_t selector);

/// MOV, POP and L?S to a segment register other than CS. Sets the descriptor's accessed bit. On a fault nothing has changed.
MaybeFault load_segment(Vcpu& vcpu, LinearMemory& memory, SegmentRegister which, std::uint16_t selector);
/// LLDT. CPL and mode are the caller's to check, here and for LTR.
MaybeFault load_ldtr(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector);
/// LTR; marks the TSS busy.
MaybeFault load_tr(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector);

/// Far transfers. `size` is the operand size, 2 or 4 bytes; vcpu.rip is the address behind the instruction. On success rip, CS, CPL
/// and where it applies stack, flags and tasks are those after the instruction. A fault leaves rip where it was, behind the
/// instruction, but for those of a new task (Fault::after_task_switch).
MaybeFault far_jump(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t offset, unsigned size);
MaybeFault far_call(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t offset, unsigned size);
/// RET far; `release` more bytes of parameters.
MaybeFault far_return(Vcpu& vcpu, LinearMemory& memory, unsigned size, std::uint16_t release);
MaybeFault interrupt_return(Vcpu& vcpu, LinearMemory& memory, unsigned size);

/// LAR, LSL, VERR, VERW: whether ZF gets set, and for LAR and LSL the value.
enum class DescriptorQuery : std::uint8_t { access_rights, limit, readable, writable };
struct QueryAnswer {
    bool found = false;
    std::uint32_t value = 0;
};
MaybeFault query_descriptor(Vcpu& vcpu, LinearMemory& memory, DescriptorQuery query, std::uint16_t selector, QueryAnswer& answer);

/// Raises #GP(0) unless the ports may be accessed at the current CPL (IOPL, else the TSS's bitmap).
MaybeFault check_port_access(Vcpu& vcpu, LinearMemory& memory, std::uint16_t port, unsigned size);

/// Why an event is delivered: it decides about gate privilege, the EXT bit and what is pushed.
enum class EventKind : std::uint8_t {
    fault,               ///< exception that restarts: RF is set in the pushed flags
    trap,                ///< exception reported behind the instruction (#DB single step, #BP, #OF)
    external_interrupt,
    /// INT n, INT3 and INTO: gate DPL counts. In virtual-8086 mode IOPL counts as well, but not for vectors 3 and 4, which are
    /// taken for INT3 and INTO: who executes CD 03 or CD 04 there checks IOPL itself.
    software_interrupt,
};
struct Event {
    EventKind kind = EventKind::fault;
    std::uint8_t vector = 0;
    std::optional<std::uint32_t> error_code = {};
    std::uint64_t address = 0;            ///< #PF: CR2
    std::uint8_t instruction_length = 0;  ///< software interrupts: a fault of their delivery points at the instruction again
};

/// Delivers through the interrupt table, at the current rip (for software interrupts and traps it is behind the instruction).
/// Returns the fault that delivery itself met; then the state is as before, unless Fault::after_task_switch. CR2 is set for
/// page faults. RF is pushed set for faults other than #DB and #DF, else as it is in rflags: who interrupts a string instruction
/// between iterations sets it there.
MaybeFault deliver_once(Vcpu& vcpu, LinearMemory& memory, const Event& event);

enum class Delivery : std::uint8_t { delivered, triple_fault };
/// Delivers and does what the processor does about faults on the way: the second fault, #DF, or shutdown (SDM vol. 3, table
/// "Conditions for Generating a Double Fault").
Delivery deliver(Vcpu& vcpu, LinearMemory& memory, const Event& event);

}  // namespace trapline::executor
