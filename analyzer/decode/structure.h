// SPDX-License-Identifier: Apache-2.0
// Parses the structure of one instruction by the opcode maps: prefixes, opcode, ModRM, SIB, displacement, immediate.
// Says where the parts are and how long the whole is; what the instruction does is for the records.
#pragma once

#include <cstdint>
#include <string_view>

#include "decode/opcode_map.h"
#include "isa/database.h"
#include "support/bytes.h"

namespace trapline::decode {

/// The longest instruction a processor executes, in bytes; longer ones are #GP(0) (SDM volume 2, 2.3.11).
inline constexpr int kMaxInstructionLength = 15;

/// How a parse ended. Everything but `ok` means that the bytes are no instruction in this mode.
enum class StructureStatus : std::uint8_t {
    ok,
    truncated,        ///< The bytes end inside the instruction.
    too_long,         ///< More than 15 bytes.
    hole,             ///< The opcode maps have no instruction here.
    not_in_mode,      ///< The slot is valid, but not in this mode.
    needs_memory,     ///< A register operand where only memory is defined.
    needs_register,   ///< A memory operand where only a register is defined.
    prefix_undefined, ///< The slot is defined, but not with this 66, F2 or F3.
    prefix_before_vex,///< 66, F2, F3, LOCK, REX or REX2 in front of VEX, EVEX or XOP.
    reserved_map,     ///< VEX, EVEX or XOP names a map without instructions.
    vex_in_real_mode, ///< VEX, EVEX and XOP need protected mode.
    rex2_misplaced,   ///< REX2 after REX, or followed by an opcode that takes none.
    lock_illegal,     ///< LOCK on an instruction or operand that does not take it (by the opcode maps).
};
/// Explains a status to people, without the mode: "LOCK on an instruction that does not take it".
std::string_view to_string(StructureStatus status);

/// How the opcode is encoded.
enum class EncodingSpace : std::uint8_t { legacy, rex2, vex2, vex3, evex, xop };

/// The parts of one instruction. Offsets count bytes from its first prefix; an absent part has size 0.
struct Structure {
    StructureStatus status = StructureStatus::truncated;
    std::uint8_t length = 0;            ///< 1..15 whenever the end was found, even for a hole; 0 otherwise
    EncodingSpace space = EncodingSpace::legacy;
    isa::EncodingKey key;
    std::uint8_t osize = 0;             ///< effective operand size in bits by the slot's rule
    std::uint8_t segment = 0;           ///< the last segment prefix byte that counts, 0 when there is none
    std::uint8_t rep = 0;               ///< the last of F2 and F3, 0 when there is none
    std::uint8_t rex = 0;               ///< the REX byte that counts (legacy maps), 0 when there is none
    bool has_67 = false;
    bool both_reps = false;             ///< F2 and F3 both stand there; the last one counts
    bool rex_ignored = false;           ///< a REX stands before another prefix or REX and does not count
    std::uint8_t prefix_size = 0;       ///< bytes before the opcode's first escape or VEX byte
    std::uint8_t opcode_offset = 0;     ///< of the opcode byte itself, after escapes (3DNow!: of the suffix)
    std::uint8_t modrm_offset = 0;      ///< meaningful when key.has_modrm
    std::uint8_t displacement_offset = 0, displacement_size = 0;
    std::uint8_t immediate_offset = 0, immediate_size = 0;
    const Slot* slot = nullptr;         ///< the refined slot; null when parsing ended before the opcode

    bool valid() const { return status == StructureStatus::ok; }
};

/// Parses the instruction at the start of `bytes`. Never reads past the end, allocates nothing.
/// A LOCK prefix is judged by the opcode maps (`lock_illegal`); a record that takes or needs LOCK overrules that, so
/// `length` and `key` are complete for it. The same holds for every status that is found after the length.
Structure parse_structure(const OpcodeMaps& maps, Bytes bytes, Mode mode);

}  // namespace trapline::decode
