// SPDX-License-Identifier: Apache-2.0
// What follows each opcode byte, and who executes it: one row per opcode of the one-byte and the 0F map.
#pragma once

#include <array>
#include <cstdint>

#include "executor/cpu/execution.h"

namespace trapline::executor {

/// What the bytes behind an opcode are, and the operand size.
namespace shape {
inline constexpr std::uint16_t modrm = 1, byte = 2 /* operands of one byte */, imm8 = 4, imm_word = 8 /* 2 or 4 bytes */, imm16 = 16,
                               imm8_behind = 32 /* ENTER's level */, selector = 64, memory_offset = 128, prefix = 256,
                               imm_of_test = 512 /* group 3: /0 and /1 alone have an immediate */, registers = 1024 /* mod is taken for 3 */;
}

struct OpcodeRow {
    Handler handler = nullptr;
    std::uint16_t shape = 0;
    std::uint8_t lockable = 0;  ///< LOCK is allowed on a memory operand for these values of modrm.reg (SDM vol. 2, LOCK)
};

/// Rows by opcode; the 0F map starts at 0x100. Every opcode has a handler but prefixes.
extern const std::array<OpcodeRow, 512> kOpcodes;

/// Whether the virtual CPU (MMX, SSE and SSE2, nothing later) has the vector instruction, and which registers it needs.
namespace vector_form {
inline constexpr std::uint8_t exists = 1, mmx = 2 /* needs no CR4.OSFXSR */, memory_only = 4, register_only = 8;
}
/// By opcode in the 0F map and prefix: none, 66, F3, F2.
extern const std::array<std::array<std::uint8_t, 4>, 256> kVectorForms;

}  // namespace trapline::executor
