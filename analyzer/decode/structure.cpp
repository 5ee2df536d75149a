// SPDX-License-Identifier: Apache-2.0
// The structure parser. One pass over at most 15 bytes; the opcode maps say what follows an opcode.
#include "decode/structure.h"

#include <algorithm>

namespace trapline::decode {
namespace {

using isa::OpcodeMap;
using isa::PrefixSet;

/// VEX pp as a mandatory prefix: none, 66, F3, F2.
constexpr PrefixSet::Bit kPp[4] = {PrefixSet::np, PrefixSet::p66, PrefixSet::f3, PrefixSet::f2};

/// Opcodes that REX2 must not precede: rows 4, 7, A and E of map one but for JMPABS (A1), rows 3 and 8 of map 0F,
/// prefixes and escapes (APX specification 3.1.2.1).
bool rex2_takes(OpcodeMap map, std::uint8_t opcode) {
    const int row = opcode >> 4;
    if (map == OpcodeMap::m0f) return row != 3 && row != 8;
    return row != 4 && (row != 0xA || opcode == 0xA1) && row != 7 && row != 0xE;
}

class Parser {
public:
    Parser(const OpcodeMaps& maps, Bytes bytes, Mode mode, Structure& out)
        : maps_(maps), bytes_(bytes), limit_(std::min<std::size_t>(bytes.size(), kMaxInstructionLength)), mode_(mode), out_(out) {}

    void run() {
        out_.key.mode = mode_;
        if (!prefixes() || !opcode() || !operands()) return;
        out_.length = static_cast<std::uint8_t>(at_);
        out_.status = verdict();
    }

private:
    /// Makes sure that `count` more bytes are there; otherwise says why not and ends the parse.
    bool need(std::size_t count) {
        if (limit_ - at_ >= count) return true;
        out_.status = at_ + count > kMaxInstructionLength ? StructureStatus::too_long : StructureStatus::truncated;
        return false;
    }

    /// Notes why the bytes are no instruction; the first reason stands.
    void refuse(StructureStatus status) {
        if (pending_ == StructureStatus::ok) pending_ = status;
    }

    bool prefixes() {
        for (;; ++at_) {
            if (!need(1)) return false;
            const std::uint8_t byte = bytes_[at_];
            switch (byte) {
                // In 64-bit mode ES, CS, SS and DS overrides are ignored (SDM volume 1, 3.3.7.1) and do not cancel FS or GS.
                case 0x26: case 0x2E: case 0x36: case 0x3E:
                    if (mode_ != Mode::long64) out_.segment = byte;
                    break;
                case 0x64: case 0x65: out_.segment = byte; break;
                case 0x66: out_.key.has_66 = true; break;
                case 0x67: out_.has_67 = true; break;
                case 0xF0: out_.key.lock = true; break;
                case 0xF2: case 0xF3:
                    out_.both_reps |= out_.rep != 0 && out_.rep != byte;
                    out_.rep = byte;
                    break;
                default:
                    if (mode_ != Mode::long64 || (byte & 0xF0) != 0x40) return true;
                    // REX counts only directly before the opcode; another prefix or REX behind it cancels it.
                    if (out_.rex != 0) out_.rex_ignored = true;
                    out_.rex = byte;
                    continue;
            }
            if (out_.rex != 0) out_.rex_ignored = true;
            out_.rex = 0;
        }
    }

    bool opcode() {
        out_.prefix_size = static_cast<std::uint8_t>(at_);
        isa::EncodingKey& key = out_.key;
        key.asize = address_size();
        key.prefix = out_.rep == 0xF2   ? PrefixSet::f2
                     : out_.rep == 0xF3 ? PrefixSet::f3
                     : key.has_66       ? PrefixSet::p66
                                        : PrefixSet::np;
        const std::uint8_t first = bytes_[at_];
        switch (first) {
            case 0x62: case 0xC4: case 0xC5: case 0x8F: {
                if (!need(2)) return false;
                const std::uint8_t next = bytes_[at_ + 1];
                const bool vector = first == 0x8F ? (next & 0x1F) >= 8 : mode_ == Mode::long64 || next >= 0xC0;
                if (!vector) break;
                // In real mode the bytes stay LES, LDS, BOUND or POP with an operand they do not take: #UD either way.
                if (mode_ == Mode::real16) {
                    refuse(StructureStatus::vex_in_real_mode);
                    break;
                }
                return first == 0x62 ? evex() : vex(first);
            }
            case 0xD5:
                if (mode_ == Mode::long64) return rex2();
                break;
            default:
                break;
        }
        key.w = (out_.rex & 8) != 0;
        key.rex_b = (out_.rex & 1) != 0;
        rex_r_ = (out_.rex & 4) != 0;
        key.map = OpcodeMap::one;
        key.opcode = first;
        out_.opcode_offset = static_cast<std::uint8_t>(at_++);
        if (first != 0x0F) return true;
        return escape();
    }

    /// Goes on after 0F.
    bool escape() {
        if (!need(1)) return false;
        isa::EncodingKey& key = out_.key;
        key.map = OpcodeMap::m0f;
        key.opcode = bytes_[at_];
        out_.opcode_offset = static_cast<std::uint8_t>(at_++);
        if (key.opcode == 0x38 || key.opcode == 0x3A) {
            if (!need(1)) return false;
            key.map = key.opcode == 0x38 ? OpcodeMap::m0f38 : OpcodeMap::m0f3a;
            key.opcode = bytes_[at_];
            out_.opcode_offset = static_cast<std::uint8_t>(at_++);
        } else if (key.opcode == 0x0F) {
            key.map = OpcodeMap::m3dnow;
        }
        return true;
    }

    bool rex2() {
        if (!need(3)) return false;
        const std::uint8_t payload = bytes_[at_ + 1];
        isa::EncodingKey& key = out_.key;
        out_.space = EncodingSpace::rex2;
        if (out_.rex != 0) refuse(StructureStatus::rex2_misplaced);
        out_.rex = 0;
        key.w = (payload & 8) != 0;
        key.rex2 = true;
        key.rex_b = (payload & 0x11) != 0;  // B3 or B4: any register above 7
        rex_r_ = (payload & 4) != 0;
        key.map = (payload & 0x80) != 0 ? OpcodeMap::m0f : OpcodeMap::one;
        key.opcode = bytes_[at_ + 2];
        out_.opcode_offset = static_cast<std::uint8_t>(at_ + 2);
        at_ += 3;
        const SlotForm form = maps_.slot(key.map, key.opcode).form;
        if (form == SlotForm::prefix || form == SlotForm::escape || !rex2_takes(key.map, key.opcode))
            refuse(StructureStatus::rex2_misplaced);
        return true;
    }

    /// Refuses what may not stand before VEX, EVEX and XOP (SDM volume 2, 2.3.3 and 2.3.4).
    void check_before_vex() {
        if (out_.key.has_66 || out_.rep != 0 || out_.key.lock || out_.rex != 0) refuse(StructureStatus::prefix_before_vex);
        out_.rex = 0;
    }

    bool vex(std::uint8_t first) {
        check_before_vex();
        isa::EncodingKey& key = out_.key;
        const bool two_bytes = first == 0xC5;
        if (!need(two_bytes ? 3 : 4)) return false;
        out_.space = two_bytes ? EncodingSpace::vex2 : first == 0x8F ? EncodingSpace::xop : EncodingSpace::vex3;
        const std::uint8_t p0 = bytes_[at_ + 1];
        const std::uint8_t last = two_bytes ? p0 : bytes_[at_ + 2];
        rex_r_ = mode_ == Mode::long64 && (p0 & 0x80) == 0;
        key.w = !two_bytes && (last & 0x80) != 0;
        key.vvvv = last >> 3 & 0xF;
        key.l = last >> 2 & 1;
        key.payload[0] = two_bytes ? static_cast<std::uint8_t>((p0 & 0x80) | 0x61) : p0;
        key.payload[1] = two_bytes ? static_cast<std::uint8_t>(p0 & 0x7F) : last;
        key.prefix = kPp[last & 3];
        key.map = OpcodeMap::vex_0f;
        if (!two_bytes) {
            const int map = p0 & 0x1F;
            if (first == 0x8F && map >= 8 && map <= 10) {
                key.map = static_cast<OpcodeMap>(static_cast<int>(OpcodeMap::xop_8) + map - 8);
            } else if (first == 0xC4 && map >= 1 && map <= 3) {
                key.map = static_cast<OpcodeMap>(static_cast<int>(OpcodeMap::vex_0f) + map - 1);
            } else if (first == 0xC4 && map == 7) {
                key.map = OpcodeMap::vex_map7;
            } else {
                out_.status = StructureStatus::reserved_map;
                return false;
            }
        }
        at_ += two_bytes ? 2 : 3;
        key.opcode = bytes_[at_];
        out_.opcode_offset = static_cast<std::uint8_t>(at_++);
        return true;
    }

    bool evex() {
        check_before_vex();
        if (!need(5)) return false;
        isa::EncodingKey& key = out_.key;
        out_.space = EncodingSpace::evex;
        const std::uint8_t p0 = bytes_[at_ + 1], p1 = bytes_[at_ + 2], p2 = bytes_[at_ + 3];
        rex_r_ = mode_ == Mode::long64 && (p0 & 0x80) == 0;
        key.w = (p1 & 0x80) != 0;
        key.vvvv = p1 >> 3 & 0xF;
        key.prefix = kPp[p1 & 3];
        key.l = p2 >> 5 & 3;
        key.payload[0] = p0;
        key.payload[1] = p1;
        key.payload[2] = p2;
        const int map = p0 & 7;
        if (map == 0) {
            out_.status = StructureStatus::reserved_map;
            return false;
        }
        key.map = static_cast<OpcodeMap>(static_cast<int>(OpcodeMap::evex_0f) + map - 1);
        key.opcode = bytes_[at_ + 4];
        out_.opcode_offset = static_cast<std::uint8_t>(at_ + 4);
        at_ += 5;
        return true;
    }

    bool operands() {
        isa::EncodingKey& key = out_.key;
        const Slot* slot = &maps_.slot(key.map, key.opcode);
        bool three_d_now = key.map == OpcodeMap::m3dnow;
        if (slot->form == SlotForm::modrm || three_d_now) {
            if (!need(1)) return false;
            const std::uint8_t modrm = bytes_[at_];
            out_.modrm_offset = static_cast<std::uint8_t>(at_++);
            key.has_modrm = true;
            key.mod = modrm >> 6;
            key.reg = modrm >> 3 & 7;
            key.rm = modrm & 7;
            if (rex_r_ && slot->reg_field == RegField::reg) key.reg |= 8;
            if (slot->mod != isa::ModRequirement::ignored && key.mod != 3 && !memory_operand()) return false;
            if (three_d_now) {
                if (!need(1)) return false;
                key.opcode = bytes_[at_];
                out_.opcode_offset = static_cast<std::uint8_t>(at_++);
                slot = &maps_.slot(key.map, key.opcode);
            }
        }
        slot = &maps_.refine(*slot, mode_, key.prefix, key.mod, key.reg, key.rm);
        out_.slot = slot;
        out_.osize = operand_size(*slot);
        const std::size_t size = immediate_size(*slot);
        if (size == 0) return true;
        if (!need(size)) return false;
        out_.immediate_offset = static_cast<std::uint8_t>(at_);
        out_.immediate_size = static_cast<std::uint8_t>(size);
        at_ += size;
        return true;
    }

    /// Skips SIB and displacement of a memory operand (SDM volume 2, tables 2-1 to 2-3).
    bool memory_operand() {
        isa::EncodingKey& key = out_.key;
        std::size_t size = 0;
        if (key.asize == 16) {
            size = key.mod == 1 ? 1 : key.mod == 2 || key.rm == 6 ? 2 : 0;
        } else {
            std::uint8_t base = key.rm;
            if (base == 4) {
                if (!need(1)) return false;
                key.has_sib = true;
                key.sib = bytes_[at_++];
                base = key.sib & 7;
            }
            size = key.mod == 1 ? 1 : key.mod == 2 || base == 5 ? 4 : 0;
        }
        if (size == 0) return true;
        if (!need(size)) return false;
        out_.displacement_offset = static_cast<std::uint8_t>(at_);
        out_.displacement_size = static_cast<std::uint8_t>(size);
        at_ += size;
        return true;
    }

    std::uint8_t address_size() const {
        if (mode_ == Mode::long64) return out_.has_67 ? 32 : 64;
        return (mode_ == Mode::protected32) != out_.has_67 ? 32 : 16;
    }

    std::uint8_t operand_size(const Slot& slot) const {
        const isa::EncodingKey& key = out_.key;
        // EVEX map 4 holds promoted legacy instructions, whose pp takes the part of the 66 prefix.
        const bool size_prefix = key.has_66 || (key.map == OpcodeMap::evex_map4 && key.prefix == PrefixSet::p66);
        return static_cast<std::uint8_t>(isa::operand_size(mode_, slot.osize64, size_prefix, key.w));
    }

    std::size_t immediate_size(const Slot& slot) const {
        // With REX2 the opcode A1 is JMPABS, whose target is 8 bytes whatever the address size.
        const int asize = out_.space == EncodingSpace::rex2 ? 64 : out_.key.asize;
        return static_cast<std::size_t>(isa::immediate_size(slot.imm, mode_, out_.osize, asize));
    }

    /// Judges what could only be judged with all fields known.
    StructureStatus verdict() {
        const Slot& slot = *out_.slot;
        const isa::EncodingKey& key = out_.key;
        if (pending_ != StructureStatus::ok) return pending_;
        if (slot.form == SlotForm::hole) return StructureStatus::hole;
        if (!slot.modes.contains(mode_)) return StructureStatus::not_in_mode;
        if ((slot.prefix.bits & key.prefix) == 0) return StructureStatus::prefix_undefined;
        if (slot.mod == isa::ModRequirement::memory && key.mod == 3) return StructureStatus::needs_memory;
        if (slot.mod == isa::ModRequirement::reg && key.mod != 3) return StructureStatus::needs_register;
        if (key.lock && !(slot.lock && key.has_modrm && key.mod != 3)) return StructureStatus::lock_illegal;
        return StructureStatus::ok;
    }

    const OpcodeMaps& maps_;
    const Bytes bytes_;
    const std::size_t limit_;
    const Mode mode_;
    Structure& out_;
    std::size_t at_ = 0;
    bool rex_r_ = false;
    StructureStatus pending_ = StructureStatus::ok;
};

}  // namespace

std::string_view to_string(StructureStatus status) {
    switch (status) {
        case StructureStatus::ok: return "valid";
        case StructureStatus::truncated: return "the bytes end inside the instruction";
        case StructureStatus::too_long: return "longer than 15 bytes";
        case StructureStatus::hole: return "no instruction has this opcode";
        case StructureStatus::not_in_mode: return "not an instruction in this mode";
        case StructureStatus::needs_memory: return "a register operand where only memory is defined";
        case StructureStatus::needs_register: return "a memory operand where only a register is defined";
        case StructureStatus::prefix_undefined: return "the opcode is not defined with this 66, F2 or F3 prefix";
        case StructureStatus::prefix_before_vex: return "a 66, F2, F3, LOCK or REX prefix before VEX, EVEX or XOP";
        case StructureStatus::reserved_map: return "VEX, EVEX or XOP names a reserved opcode map";
        case StructureStatus::vex_in_real_mode: return "VEX, EVEX and XOP do not exist in real mode";
        case StructureStatus::rex2_misplaced: return "REX2 after REX or before an opcode that does not take it";
        case StructureStatus::lock_illegal: return "LOCK on an instruction that does not take it";
    }
    return "?";
}

Structure parse_structure(const OpcodeMaps& maps, Bytes bytes, Mode mode) {
    Structure out;
    Parser(maps, bytes, mode, out).run();
    return out;
}

}  // namespace trapline::decode
