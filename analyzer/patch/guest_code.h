// SPDX-License-Identifier: Apache-2.0
// One instruction of the guest as a rewriter sees it, and what it becomes when it runs somewhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decode/structure.h"
#include "patch/plan.h"
#include "scan/code_facts.h"
#include "scan/control_flow.h"

namespace trapline::patch {

/// An instruction in place.
struct GuestInstruction {
    scan::CodePlace place;
    std::uint64_t address = 0;           ///< where it runs: of an alternative's replacement, where that is copied to
    Mode mode = Mode::long64;
    Bytes bytes;                         ///< of this instruction alone
    decode::Structure structure;
    scan::ControlFlow flow;              ///< targets as seen from the place in the file, which for replacements is right
    std::optional<std::uint32_t> site;   ///< index of the planned site that it is; none for a neighbour
    bool emulation_prefix = false;       ///< UD2 and letters that ask a hypervisor: no neighbour to move

    std::uint64_t end() const { return place.offset + bytes.size(); }
    bool is_rip_relative() const;
    bool is_nop() const;                 ///< NOP and long NOPs, whatever their operand
};

/// Reads the swept instruction that starts at a place; nothing when none does.
std::optional<GuestInstruction> read_instruction(const scan::CodeFacts& facts, scan::CodePlace place);

/// Bytes for a new place, with the fields in them that depend on where image and stubs come to lie.
struct MovedCode {
    std::vector<std::uint8_t> bytes;
    std::vector<StubFixup> fixups;
};

/// Says what stands against running an instruction elsewhere; empty when nothing does. Only the last of a window may
/// transfer control for good. Facts about the place itself (targets, tables) are not asked here.
std::string obstacle_to_moving(const GuestInstruction& insn);

/// Rewrites an instruction for `to` so that it does there what it does in place, except that faults are reported there:
/// operands relative to the instruction pointer keep their address, direct branches their target, and a call pushes the
/// return address that it has in place. Nothing when a displacement does not reach.
/// The length depends on the instruction alone, not on `to`.
std::optional<MovedCode> move_instruction(const GuestInstruction& insn, std::uint64_t to);

/// Writes JMP rel32 at `from`. Nothing when the target is out of reach in 64-bit code; in 32-bit code it wraps.
std::optional<std::vector<std::uint8_t>> encode_jump(Mode mode, std::uint64_t from, std::uint64_t to);

inline constexpr std::uint64_t kJumpBytes = 5, kShortJumpBytes = 2;

}  // namespace trapline::patch
