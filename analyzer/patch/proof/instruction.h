// SPDX-License-Identifier: Apache-2.0
// One instruction as the reference machine sees it: what it knows how to do, and an identity that does not change when the
// instruction moves.
#pragma once

#include <array>
#include <cstdint>

#include "decode/structure.h"
#include "scan/control_flow.h"

namespace trapline::patch::proof {

/// What the machine does with an instruction. Everything that is not listed is `opaque`: an unknown function of the whole
/// state, which is sound for any instruction that both runs present alike.
enum class Action : std::uint8_t {
    opaque,
    // Ordinary instructions.
    alu, alu_immediate, test, test_immediate, increment, mov_store, mov_load, mov_offset, mov_immediate, mov_immediate_rm, lea,
    push_register, pop_register, push_immediate, push_rm, pop_rm, nop, conditional_jump, loop, jump, call, jump_rm, call_rm, ret, far_jump,
    // Sensitive ones.
    cli, sti, pushf, popf, read_control, smsw, str, sldt,
};
constexpr bool is_sensitive(Action action) { return action >= Action::cli; }

struct Instruction {
    std::uint64_t address = 0;
    Mode mode = Mode::long64;            ///< of the code, which in a 32-bit guest's hypercall is long64
    decode::Structure structure;         ///< length 0: the bytes are no instruction
    std::array<std::uint8_t, decode::kMaxInstructionLength> bytes{};
    scan::ControlFlow flow;
    Action action = Action::opaque;
    std::uint64_t identity = 0;          ///< equal for two instructions that do the same wherever they stand
    std::uint64_t next = 0;              ///< address behind it, wrapped to the mode's width

    bool valid() const { return structure.length != 0; }
    int bits() const { return structure.osize; }
    /// The immediate, sign-extended.
    std::int64_t immediate() const;
    std::int64_t displacement() const;
    bool is_rip_relative() const;
    /// Extended register numbers, for the legacy maps.
    unsigned reg() const { return (structure.key.reg & 7u) | ((structure.rex & 4u) << 1); }
    unsigned rm() const { return structure.key.rm | ((structure.rex & 1u) << 3); }
    /// The register of an opcode's low three bits.
    unsigned opcode_register() const { return (structure.key.opcode & 7u) | ((structure.rex & 1u) << 3); }
};

/// Decodes the instruction at the start of `bytes` as it stands at `address`. Invalid bytes give length 0.
Instruction decode_instruction(Bytes bytes, Mode mode, std::uint64_t address);

}  // namespace trapline::patch::proof
