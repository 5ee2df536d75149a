// SPDX-License-Identifier: Apache-2.0
// Decodes an instruction: prefixes, opcode, ModRM and SIB, displacement, immediates (SDM vol. 2, chapter 2).
#include "executor/cpu/instruction.h"

#include <algorithm>

#include "executor/cpu/arithmetic.h"
#include "executor/cpu/opcode_table.h"

namespace trapline::executor {
namespace {

/// Base, index and default segment of the eight 16-bit forms (SDM vol. 2, table 2-1).
struct Form16 {
    std::uint8_t base, index, segment;
};
constexpr std::uint8_t kNone = Instruction::kNoRegister;
constexpr Form16 kForms16[8] = {{kRbx, kRsi, kDs},  {kRbx, kRdi, kDs},  {kRbp, kRsi, kSs},  {kRbp, kRdi, kSs},
                                {kRsi, kNone, kDs}, {kRdi, kNone, kDs}, {kRbp, kNone, kSs}, {kRbx, kNone, kDs}};

bool take_displacement(InstructionBytes& bytes, unsigned size, Instruction& out) {
    std::uint32_t value = 0;
    if (size == 0) return true;
    if (!bytes.take(size, value)) return false;
    out.displacement = static_cast<std::uint32_t>(arithmetic::sign_extend(value, size));
    return true;
}

bool decode_address32(InstructionBytes& bytes, Instruction& out) {
    const unsigned mod = out.modrm >> 6;
    unsigned base = out.rm();
    std::uint32_t value = 0;
    if (base == 4) {
        if (!bytes.take(1, value)) return false;
        const unsigned index = (value >> 3) & 7;
        base = value & 7;
        if (index != 4) {
            out.index = static_cast<std::uint8_t>(index);
            out.scale = static_cast<std::uint8_t>(value >> 6);
        }
    }
    if (mod == 0 && base == kRbp) return take_displacement(bytes, 4, out);
    out.base = static_cast<std::uint8_t>(base);
    if (!out.has_override && (base == kRsp || base == kRbp)) out.segment = kSs;
    return take_displacement(bytes, mod == 0 ? 0 : mod == 1 ? 1 : 4, out);
}

bool decode_address16(InstructionBytes& bytes, Instruction& out) {
    const unsigned mod = out.modrm >> 6;
    if (mod == 0 && out.rm() == 6) return take_displacement(bytes, 2, out);
    const Form16& form = kForms16[out.rm()];
    out.base = form.base;
    out.index = form.index;
    if (!out.has_override) out.segment = form.segment;
    return take_displacement(bytes, mod, out);
}

bool decode_modrm(InstructionBytes& bytes, std::uint16_t has, Instruction& out) {
    std::uint32_t value = 0;
    if (!bytes.take(1, value)) return false;
    out.modrm = static_cast<std::uint8_t>(value);
    out.is_memory = out.modrm < 0xC0 && (has & shape::registers) == 0;
    if (!out.is_memory) return true;
    return out.address_size == 4 ? decode_address32(bytes, out) : decode_address16(bytes, out);
}

bool decode_immediates(InstructionBytes& bytes, std::uint16_t has, Instruction& out) {
    std::uint32_t value = 0;
    if ((has & shape::imm8) != 0 || ((has & shape::imm_of_test) != 0 && out.reg() < 2 && out.size == 1)) {
        if (!bytes.take(1, value)) return false;
        out.imm = static_cast<std::uint32_t>(arithmetic::sign_extend(value, 1));
    }
    if ((has & shape::imm_word) != 0 || ((has & shape::imm_of_test) != 0 && out.reg() < 2 && out.size != 1))
        if (!bytes.take(out.word_size, out.imm)) return false;
    if ((has & shape::imm16) != 0 && !bytes.take(2, out.imm)) return false;
    if ((has & shape::memory_offset) != 0) {
        if (!bytes.take(out.address_size, out.displacement)) return false;
        out.is_memory = true;
    }
    if ((has & (shape::imm8_behind | shape::selector)) != 0) {
        if (!bytes.take((has & shape::selector) != 0 ? 2 : 1, value)) return false;
        out.imm2 = static_cast<std::uint16_t>(value);
    }
    return true;
}

Decoding decode_fields(InstructionBytes& bytes, bool big, Instruction& out) {
    out.word_size = out.address_size = big ? 4 : 2;
    std::uint32_t value = 0;
    bool address_prefix = false;
    const OpcodeRow* row = nullptr;
    for (;;) {
        if (!bytes.take(1, value)) return Decoding::no_bytes;
        row = &kOpcodes[value];
        if ((row->shape & shape::prefix) == 0) break;
        switch (value) {
            case 0x66: out.operand_prefix = true; break;
            case 0x67: address_prefix = true; break;
            case 0xF0: out.lock = true; break;
            case 0xF2:
            case 0xF3: out.repeat = static_cast<std::uint8_t>(value); break;
            default:
                out.has_override = true;
                out.segment = static_cast<std::uint8_t>(value < 0x64 ? (value >> 3) & 3 : value - 0x64 + kFs);
        }
    }
    // A prefix that comes twice still toggles once.
    if (out.operand_prefix) out.word_size ^= 2 ^ 4;
    if (address_prefix) out.address_size ^= 2 ^ 4;
    out.opcode = static_cast<std::uint16_t>(value);
    if (value == 0x0F) {
        if (!bytes.take(1, value)) return Decoding::no_bytes;
        out.opcode = static_cast<std::uint16_t>(0x100 + value);
        row = &kOpcodes[out.opcode];
    }
    out.handler = row->handler;
    out.size = (row->shape & shape::byte) != 0 ? 1 : out.word_size;
    if ((row->shape & shape::modrm) != 0 && !decode_modrm(bytes, row->shape, out)) return Decoding::no_bytes;
    if (!decode_immediates(bytes, row->shape, out)) return Decoding::no_bytes;
    if (out.lock && !(out.is_memory && ((row->lockable >> out.reg()) & 1) != 0)) return Decoding::invalid;
    return Decoding::done;
}

class BytesAtHand final : public InstructionBytes {
public:
    explicit BytesAtHand(std::span<const std::uint8_t> bytes) {
        available_ = static_cast<unsigned>(std::min<std::size_t>(bytes.size(), kLongestInstruction));
        std::copy_n(bytes.begin(), available_, bytes_.begin());
    }

private:
    bool provide(unsigned) override { return false; }
};

}  // namespace

Decoding decode(InstructionBytes& bytes, bool big, Instruction& out) {
    const Decoding result = decode_fields(bytes, big, out);
    out.length = static_cast<std::uint8_t>(bytes.taken());
    return result;
}

Decoding decode(std::span<const std::uint8_t> bytes, bool big, Instruction& out) {
    BytesAtHand source(bytes);
    return decode(source, big, out);
}

}  // namespace trapline::executor
