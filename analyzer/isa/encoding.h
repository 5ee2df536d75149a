// SPDX-License-Identifier: Apache-2.0
// The bytes that a form is recognised by, the facts of one instruction that are held against them, and the rule.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "isa/mode.h"

namespace trapline::isa {

/// Opcode maps, the legacy ones first.
enum class OpcodeMap : std::uint8_t {
    one, m0f, m0f38, m0f3a, m3dnow, vex_0f, vex_0f38, vex_0f3a, vex_map7, xop_8, xop_9, xop_a,
    evex_0f, evex_0f38, evex_0f3a, evex_map4, evex_map5, evex_map6, evex_map7,
};
inline constexpr int kOpcodeMapCount = 19;
std::string_view to_string(OpcodeMap map);  ///< as in JSON: "0f38", "vex.0f"
std::optional<OpcodeMap> parse_opcode_map(std::string_view text);
inline bool is_vector_map(OpcodeMap map) { return map >= OpcodeMap::vex_0f; }
inline bool is_evex_map(OpcodeMap map) { return map >= OpcodeMap::evex_0f; }

/// What ModRM.mod must be. `ignored` means the field is not decoded and the operand is always a register (MOV CR/DR).
enum class ModRequirement : std::uint8_t { any, memory, reg, ignored };

/// Immediate bytes after ModRM, SIB and displacement. Sizes in bytes, by effective operand size (16 | 32 | 64 bits)
/// where they vary.
enum class Immediate : std::uint8_t {
    none,
    ib,           ///< 1
    iw,           ///< 2
    id,           ///< 4
    iz,           ///< 2 | 4 | 4
    iv,           ///< 2 | 4 | 8: MOV r, imm (B8-BF) only
    jz,           ///< near branch displacement: 2 | 4, and always 4 in 64-bit mode, where Intel ignores 66
    iw_ib,        ///< 3: ENTER
    ib_ib,        ///< 2: EXTRQ and INSERTQ
    far_pointer,  ///< 4 | 6: offset and selector
    moffs,        ///< by effective address size (16 | 32 | 64 bits): 2 | 4 | 8
};
std::string_view to_string(Immediate imm);  ///< as in JSON: "none", "iw+ib", "ptr"
std::optional<Immediate> parse_immediate(std::string_view text);

/// How the operand size is found in 64-bit mode.
enum class OperandSize64 : std::uint8_t { usual, default64, forced64 };

/// Mandatory-prefix classes, one bit each so that a form can allow several.
struct PrefixSet {
    enum Bit : std::uint8_t { np = 1, p66 = 2, f3 = 4, f2 = 8 };
    std::uint8_t bits = np | p66 | f3 | f2;
    bool any() const { return bits == (np | p66 | f3 | f2); }
};

/// What a VEX, EVEX or XOP form says about its operands beyond map, opcode, pp and W (isa-specs/README.md, "EVEX",
/// "operands", "APX"). Without a bit the strict case holds: aaa, z and b are 0.
struct OperandRules {
    enum Bit : std::uint32_t {
        mask = 1, mask_required = 2,           ///< {k}, {K}
        zeroing = 4, zeroing_memory = 8,       ///< {z}, {mz}
        broadcast = 0x10, rounding = 0x20, sae = 0x40,
        vsib = 0x80, sib = 0x100,              ///< the memory operand needs a SIB byte; of vsib the index is a vector
        mask_reg = 0x200, mask_rm = 0x400, mask_vvvv = 0x800,  ///< the field names a mask register: above 7 is #UD
        distinct = 0x1000, tile = 0x2000,
        nd0 = 0x4000, nd1 = 0x8000, nf = 0x10000, nf_required = 0x20000, condition = 0x40000,  ///< APX
        egpr = 0x80000,
    };
    std::uint32_t bits = 0;
    constexpr bool has(std::uint32_t which) const { return (bits & which) != 0; }
};

/// Gives the effective operand size in bits. `size_prefix`: a 66 that acts on the size; `w`: REX.W or its like.
int operand_size(Mode mode, OperandSize64 rule, bool size_prefix, bool w);
/// Gives the bytes of an immediate under an operand and an address size in bits.
int immediate_size(Immediate imm, Mode mode, int osize, int asize);

/// The bytes a form is recognised by.
struct Encoding {
    OpcodeMap map = OpcodeMap::one;
    std::uint8_t opcode = 0;
    PrefixSet prefix;
    bool has_modrm = false;
    ModRequirement mod = ModRequirement::any;
    std::uint16_t reg_mask = 0xFFFF;  ///< allowed ModRM.reg values with REX.R as bit 3
    std::uint8_t rm_mask = 0xFF;      ///< allowed ModRM.rm values
    Immediate imm = Immediate::none;
    std::uint8_t osize = 0;           ///< required effective operand size in bits, 0 for any
    OperandSize64 osize64 = OperandSize64::usual;
    std::uint8_t asize = 0;           ///< required effective address size in bits, 0 for any
    std::optional<bool> w;
    std::optional<bool> rex_b;        ///< required REX.B of a legacy form; NOP against XCHG r8, rax
    bool requires_rex2 = false;       ///< REX2 selects the form (JMPABS, PUSHP)
    std::uint8_t l_mask = 0xF;        ///< allowed values of VEX.L or EVEX.L'L, one bit each
    bool vvvv_unused = false;
    bool lock_allowed = false;
    bool requires_lock = false;
    ModeSet modes;
    OperandRules rules;
};

/// The structural facts of one decoded instruction that select a form. Filled by decode/structure.
struct EncodingKey {
    Mode mode = Mode::long64;
    OpcodeMap map = OpcodeMap::one;
    std::uint8_t opcode = 0;
    PrefixSet::Bit prefix = PrefixSet::np;  ///< effective mandatory prefix: last of F2/F3, else 66, else none; pp for VEX
    bool has_66 = false;                    ///< a 66 prefix was met (legacy maps)
    bool lock = false;
    bool has_modrm = false;
    std::uint8_t mod = 0, reg = 0, rm = 0;  ///< ModRM fields; reg with REX.R as bit 3, rm without REX.B
    bool w = false;                         ///< REX.W or VEX.W
    bool rex2 = false;                      ///< a REX2 prefix was met
    bool rex_b = false;                     ///< REX.B (REX2.B3), legacy maps only
    std::uint8_t l = 0;                     ///< VEX.L or EVEX.L'L
    std::uint8_t vvvv = 0xF;                ///< inverted field as encoded
    std::uint8_t asize = 0;                 ///< effective address size in bits
    /// The bytes after 62, C4 or 8F as encoded (C5 in the layout of C4); 0 in the legacy maps.
    std::uint8_t payload[3] = {0, 0, 0};
    std::uint8_t sib = 0;                   ///< meaningful when has_sib
    bool has_sib = false;
};

/// Says whether one encoding matches one form, its modes included.
bool matches(const Encoding& encoding, const EncodingKey& key);
/// Computes the effective operand size in bits that the form sees.
int effective_operand_size(const Encoding& encoding, const EncodingKey& key);

}  // namespace trapline::isa
