// SPDX-License-Identifier: Apache-2.0
// Where execution goes after one instruction, read from its bytes alone. No registers or memory are modelled.
#pragma once

#include <optional>

#include "isa/encoding.h"
#include "support/address.h"
#include "support/bytes.h"

namespace trapline::scan {

/// Says how an instruction hands control on.
enum class Flow : std::uint8_t {
    fallthrough,    ///< to the next instruction only; HLT, INT n and SYSCALL count, since control comes back there
    jump,           ///< to the target only
    conditional,    ///< to the target or the next instruction: Jcc, LOOPcc, JrCXZ, XBEGIN (the target is the abort path)
    call,           ///< to the target, and back to the next instruction
    indirect_jump,  ///< to an unknown place: JMP r/m, and far jumps, whose selector may change the mode
    indirect_call,  ///< to an unknown place, and back to the next instruction: CALL r/m, far calls
    leave,          ///< to the caller or another privilege level: RET, RETF, IRET, SYSRET, SYSENTER, SYSEXIT, RSM, UIRET, ERETx
    stop,           ///< nowhere that the bytes tell: UD0, UD1, UD2
    breakpoint,     ///< INT3: the handler returns to the next instruction, unless the byte is padding
};

/// The control flow of one instruction.
struct ControlFlow {
    Flow kind = Flow::fallthrough;
    std::optional<VirtAddr> target;  ///< of jump, conditional and call; wrapped to the width of the instruction pointer
    int displacement_bytes = 0;      ///< 1, 2 or 4 where there is a target, else 0
    std::int64_t displacement = 0;   ///< sign-extended, as encoded; a field that awaits a relocation holds its addend

    bool falls_through() const {
        return kind == Flow::fallthrough || kind == Flow::conditional || kind == Flow::call ||
               kind == Flow::indirect_call || kind == Flow::breakpoint;
    }
};

/// Gives the length, 5, of a paravirtual emulation prefix at the start of `bytes`, else 0: UD2 with the letters "xen" or
/// "kvm" behind it asks the hypervisor to emulate the instruction that follows (Linux arch/x86/include/asm/emulate_prefix.h).
/// The letters are data, and control goes on behind them.
inline int emulation_prefix_length(Bytes bytes) {
    if (bytes.size() < 5 || bytes[0] != 0x0F || bytes[1] != 0x0B) return 0;
    const bool xen = bytes[2] == 'x' && bytes[3] == 'e' && bytes[4] == 'n', kvm = bytes[2] == 'k' && bytes[3] == 'v' && bytes[4] == 'm';
    return xen || kvm ? 5 : 0;
}

/// Says whether some form of an opcode slot may send control elsewhere than to the next instruction; false is certain.
bool may_transfer_control(isa::OpcodeMap map, std::uint8_t opcode);

/// Classifies the instruction at the start of `insn`, which stands at `address`.
/// Bytes that the opcode maps cannot parse fall through. In 64-bit mode 66 E9 takes a rel32, as Intel's CPUs do (AMD's
/// take a rel16 there). Source: Intel SDM volume 2, appendix A and the instructions' pages; "JMP" and "Jcc" for the wrap
/// of the instruction pointer; FRED specification for ERETS and ERETU.
ControlFlow control_flow(Bytes insn, Mode mode, VirtAddr address);

}  // namespace trapline::scan
