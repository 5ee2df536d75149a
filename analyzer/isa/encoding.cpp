// SPDX-License-Identifier: Apache-2.0
// Names of the encoding's parts, and the rule by which an instruction selects its form.
#include "isa/encoding.h"

#include <array>

namespace trapline::isa {
namespace {

constexpr std::array<std::string_view, kOpcodeMapCount> kMaps = {
    "one",   "0f",       "0f38",      "0f3a",      "3dnow",     "vex.0f",    "vex.0f38",  "vex.0f3a", "vex.map7", "xop.8",
    "xop.9", "xop.a",    "evex.0f",   "evex.0f38", "evex.0f3a", "evex.map4", "evex.map5", "evex.map6", "evex.map7"};
constexpr std::array<std::string_view, 11> kImmediates = {"none", "ib", "iw", "id", "iz", "iv", "jz", "iw+ib", "ib+ib", "ptr", "moffs"};

/// Register numbers and bits of a VEX, EVEX or XOP instruction, with the inverted fields put right.
struct VectorFields {
    explicit VectorFields(const EncodingKey& key) {
        const bool evex = is_evex_map(key.map), long_mode = key.mode == Mode::long64;
        const std::uint8_t p0 = key.payload[0], p2 = key.payload[2];
        z = evex && (p2 & 0x80) != 0;
        b = evex && (p2 & 0x10) != 0;
        v_high = evex && (p2 & 0x08) == 0;
        aaa = evex ? p2 & 7 : 0;
        u_clear = evex && (key.payload[1] & 0x04) == 0;
        b4 = evex && (p0 & 0x08) != 0;
        reg = static_cast<std::uint8_t>((key.reg & 7) | (long_mode && (p0 & 0x80) == 0 ? 8 : 0) | (evex && long_mode && (p0 & 0x10) == 0 ? 16 : 0));
        const bool x = long_mode && (p0 & 0x40) == 0, b3 = long_mode && (p0 & 0x20) == 0;
        rm = static_cast<std::uint8_t>(key.rm | (b3 ? 8 : 0) | (evex && x ? 16 : 0));
        index = static_cast<std::uint8_t>((key.sib >> 3 & 7) | (x ? 8 : 0) | (v_high && long_mode ? 16 : 0));
        vvvv = static_cast<std::uint8_t>((~key.vvvv & (long_mode ? 0xF : 7)) | (v_high && long_mode ? 16 : 0));
    }
    bool z, b, v_high, u_clear, b4;
    std::uint8_t aaa, reg, rm, index, vvvv;
};

/// APX map 4: P2 is 0 L'L ND V4 NF 0 0, or for CCMPcc and CTESTcc 0 L'L ND SC3-SC0 (APX specification 3.1.2.3).
bool map4_allows(const Encoding& encoding, const EncodingKey& key) {
    const OperandRules rules = encoding.rules;
    const std::uint8_t p2 = key.payload[2];
    const bool nd = (p2 & 0x10) != 0;
    if ((p2 & 0xE0) != 0) return false;
    if (rules.has(OperandRules::nd1) ? !nd && !rules.has(OperandRules::nd0) : nd) return false;
    if (rules.has(OperandRules::condition)) return true;
    if ((p2 & 3) != 0) return false;
    const bool nf = (p2 & 4) != 0;
    if (nf ? !rules.has(OperandRules::nf) : rules.has(OperandRules::nf_required)) return false;
    return !encoding.vvvv_unused || (p2 & 8) != 0;
}

bool registers_allowed(const Encoding& encoding, const VectorFields& f, bool is_register) {
    const OperandRules rules = encoding.rules;
    constexpr std::uint8_t kLast = 7;  // of the masks and tiles
    const bool rm_is_operand = is_register && encoding.rm_mask == 0xFF;  // TILEZERO has part of its opcode there
    if (rules.has(OperandRules::mask_reg) && f.reg > kLast) return false;
    if (rules.has(OperandRules::mask_vvvv) && f.vvvv > kLast) return false;
    if (rules.has(OperandRules::tile) && (f.reg > kLast || f.vvvv > kLast || (rm_is_operand && f.rm > kLast))) return false;
    if (!rules.has(OperandRules::distinct)) return true;
    // Gathers: destination, index and, for VEX, the mask in vvvv. Tiles and complex products: destination and sources.
    if (rules.has(OperandRules::vsib)) return f.reg != f.index && (rules.has(OperandRules::mask_required) || (f.reg != f.vvvv && f.index != f.vvvv));
    if (rules.has(OperandRules::tile)) return f.reg != f.rm && f.reg != f.vvvv && f.rm != f.vvvv;
    return f.reg != f.vvvv && (!is_register || f.reg != f.rm);
}

/// The conditions of VEX, EVEX and XOP that the legacy maps do not have.
bool vector_allows(const Encoding& encoding, const EncodingKey& key) {
    const OperandRules rules = encoding.rules;
    const bool is_register = key.mod == 3;
    const VectorFields f(key);
    if (is_evex_map(key.map)) {
        // V' and B4 extend register numbers, which only 64-bit mode has. U is X4 of a memory operand and fixed with a register.
        if ((f.v_high || f.b4) && key.mode != Mode::long64) return false;
        if (f.u_clear && (is_register || key.mode != Mode::long64)) return false;
    }
    if (key.map == OpcodeMap::evex_map4) {
        if (!map4_allows(encoding, key)) return false;
    } else if (is_evex_map(key.map)) {
        if (f.b && !rules.has(is_register ? OperandRules::rounding | OperandRules::sae : OperandRules::broadcast)) return false;
        // With rounding or SAE, L'L is the rounding mode and the length is 512 bits or scalar (SDM volume 2, 2.7.10).
        if (!(f.b && is_register) && (encoding.l_mask >> key.l & 1) == 0) return false;
        // Promoted VEX instructions have NF where the others have the high bit of the mask.
        const unsigned aaa = rules.has(OperandRules::nf) ? f.aaa & 3u : f.aaa;
        if (rules.has(OperandRules::mask_required) ? aaa == 0 : aaa != 0 && !rules.has(OperandRules::mask)) return false;
        if (f.z && (f.aaa == 0 || !rules.has(is_register ? OperandRules::zeroing | OperandRules::zeroing_memory : OperandRules::zeroing_memory))) return false;
        if (encoding.vvvv_unused && f.v_high && !rules.has(OperandRules::vsib)) return false;
    } else if ((encoding.l_mask >> key.l & 1) == 0) {
        return false;
    }
    if (rules.has(OperandRules::vsib | OperandRules::sib) && !key.has_sib) return false;
    return registers_allowed(encoding, f, is_register);
}

}  // namespace

std::string_view to_string(OpcodeMap map) { return kMaps[static_cast<std::size_t>(map)]; }
std::string_view to_string(Immediate imm) { return kImmediates[static_cast<std::size_t>(imm)]; }

std::optional<OpcodeMap> parse_opcode_map(std::string_view text) {
    for (std::size_t i = 0; i < kMaps.size(); ++i)
        if (kMaps[i] == text) return static_cast<OpcodeMap>(i);
    return std::nullopt;
}

std::optional<Immediate> parse_immediate(std::string_view text) {
    for (std::size_t i = 0; i < kImmediates.size(); ++i)
        if (kImmediates[i] == text) return static_cast<Immediate>(i);
    return std::nullopt;
}

int operand_size(Mode mode, OperandSize64 rule, bool size_prefix, bool w) {
    // SDM volume 1, 3.6.1 and volume 2, 2.2.1: the default, the 66 prefix and REX.W.
    if (mode != Mode::long64) return (width_bits(mode) == 32) != size_prefix ? 32 : 16;
    if (rule == OperandSize64::forced64 || w) return 64;
    if (size_prefix) return 16;
    return rule == OperandSize64::default64 ? 64 : 32;
}

int immediate_size(Immediate imm, Mode mode, int osize, int asize) {
    switch (imm) {
        case Immediate::none: return 0;
        case Immediate::ib: return 1;
        case Immediate::iw: return 2;
        case Immediate::id: return 4;
        case Immediate::iz: return osize == 16 ? 2 : 4;
        case Immediate::iv: return osize / 8;
        case Immediate::jz: return mode != Mode::long64 && osize == 16 ? 2 : 4;
        case Immediate::iw_ib: return 3;
        case Immediate::ib_ib: return 2;
        case Immediate::far_pointer: return osize == 16 ? 4 : 6;
        case Immediate::moffs: return asize / 8;
    }
    return 0;
}

int effective_operand_size(const Encoding& encoding, const EncodingKey& key) {
    // A 66 that selects the form (mandatory prefix) does not change the operand size.
    const bool mandatory_66 = (encoding.prefix.bits & PrefixSet::np) == 0 && (encoding.prefix.bits & PrefixSet::p66) != 0;
    // EVEX map 4 holds promoted legacy instructions, whose pp takes the part of the 66 prefix.
    const bool has_66 = key.map == OpcodeMap::evex_map4 ? key.prefix == PrefixSet::p66 : key.has_66;
    return operand_size(key.mode, encoding.osize64, has_66 && !mandatory_66, key.w);
}

bool matches(const Encoding& encoding, const EncodingKey& key) {
    if (!encoding.modes.contains(key.mode)) return false;
    if ((encoding.prefix.bits & key.prefix) == 0) return false;
    if (encoding.has_modrm) {
        if (!key.has_modrm) return false;
        const bool is_register = key.mod == 3;
        if (encoding.mod == ModRequirement::memory && is_register) return false;
        if (encoding.mod == ModRequirement::reg && !is_register) return false;
        // An extended ModRM.reg matters only to forms that name registers above 7 (CR8): opcode extensions ignore REX.R.
        const int reg = (encoding.reg_mask & 0xFF00) != 0 || encoding.mod == ModRequirement::ignored ? key.reg : key.reg & 7;
        if ((encoding.reg_mask >> reg & 1) == 0) return false;
        if ((encoding.rm_mask >> key.rm & 1) == 0) return false;
    }
    if (encoding.w && *encoding.w != key.w) return false;
    if (encoding.rex_b && *encoding.rex_b != key.rex_b) return false;
    if (encoding.vvvv_unused && key.vvvv != 0xF) return false;
    if ((encoding.requires_lock && !key.lock) || (encoding.requires_rex2 && !key.rex2)) return false;
    if (encoding.asize != 0 && encoding.asize != key.asize) return false;
    if (is_vector_map(key.map) && !vector_allows(encoding, key)) return false;
    return encoding.osize == 0 || encoding.osize == effective_operand_size(encoding, key);
}

}  // namespace trapline::isa
