// SPDX-License-Identifier: Apache-2.0
// The tables that the decoder runs on: which forms may stand in a slot of the opcode maps, and flat pages for the
// instructions that need no second look. Built from the database when the program is built (decode/generator).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "decode/opcode_map.h"
#include "isa/encoding.h"

namespace trapline::decode {

/// Names a form: 0 is none, then the records in database order, then the innocuous forms.
using FormIndex = std::uint16_t;

/// One form's claim to a slot.
struct Claim {
    isa::Encoding encoding;
    FormIndex form = 0;
    /// The slot, its bucket and the mode imply the encoding: nothing is left to compare.
    bool certain = false;
};

/// Claims to one bucket: `count` entries of FormTables::claim_lists from `begin` on, in the order of precedence.
struct Choice {
    std::uint32_t begin = 0;
    std::uint8_t count = 0;
};

/// Where the buckets of a slot begin and which fields select among them.
struct SlotIndex {
    /// Fields that select: mandatory prefix (four values), register or memory, the low three bits of ModRM.reg.
    enum Selector : std::uint8_t { by_prefix = 1, by_mod = 2, by_reg = 4 };
    std::uint32_t base = 0;  ///< into FormTables::buckets
    std::uint8_t selector = 0;
};

/// One opcode of a page, in the state that its prefixes left: see fast_pages.h for how it is read.
struct FastEntry {
    std::uint32_t bits = 0;
    static constexpr std::uint32_t kLeafBits = 0xFFFF;  ///< first leaf
    static constexpr int kMaskShift = 16;               ///< 4 bits: which of register-or-memory (8) and reg (7) select a leaf
    static constexpr int kLengthShift = 20;             ///< 4 bits: opcode byte and immediate
    static constexpr int kTestShift = 24;               ///< 3 bits: immediate bytes that only ModRM.reg 0 and 1 have (TEST)
    static constexpr std::uint32_t kModrm = 1u << 27;
    static constexpr std::uint32_t kComplex = 1u << 28; ///< not decided here: prefixes, other maps, rare forms
};

/// What prefixes leave for a page: mandatory prefix in bits 0-1 (none, 66, F3, F2), REX.W in bit 2, LOCK in bit 3.
inline constexpr std::size_t kPrefixStates = 16;
/// Opcodes of a page: map one, then map 0F.
inline constexpr std::size_t kPageOpcodes = 512;
/// A leaf of this value is not decided by the page.
inline constexpr FormIndex kComplexLeaf = 0xFFFF;

struct FormTables {
    std::span<const SlotIndex> slots;             ///< [mode][map][opcode]
    std::span<const std::uint16_t> buckets;       ///< choice numbers; choice 0 is the hole
    std::span<const Choice> choices;
    std::span<const std::uint16_t> claim_lists;
    std::span<const Claim> claims;
    std::span<const FastEntry> pages;             ///< [mode][prefix state][opcode of map one, then of 0F]
    std::span<const FormIndex> leaves;

    const SlotIndex& slot(Mode mode, isa::OpcodeMap map, std::uint8_t opcode) const {
        return slots[(static_cast<std::size_t>(mode) * isa::kOpcodeMapCount + static_cast<std::size_t>(map)) * 256 + opcode];
    }
};

/// Numbers the mandatory prefix as the buckets and pages do.
constexpr unsigned prefix_number(isa::PrefixSet::Bit prefix) {
    return prefix == isa::PrefixSet::np ? 0 : prefix == isa::PrefixSet::p66 ? 1 : prefix == isa::PrefixSet::f3 ? 2 : 3;
}

/// Gives a bucket's place behind its slot's base.
constexpr unsigned bucket_number(std::uint8_t selector, unsigned prefix, bool is_register, unsigned reg) {
    unsigned number = 0;
    if ((selector & SlotIndex::by_prefix) != 0) number = prefix;
    if ((selector & SlotIndex::by_mod) != 0) number = number * 2 + (is_register ? 1 : 0);
    if ((selector & SlotIndex::by_reg) != 0) number = number * 8 + reg;
    return number;
}

/// The tables made when the program was built, from the database that is compiled in.
const FormTables& generated_form_tables();
/// The database version they were made from.
std::string_view generated_database_version();

}  // namespace trapline::decode
