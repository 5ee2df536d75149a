// SPDX-License-Identifier: Apache-2.0
// Fetches and decodes an instruction: prefixes, opcode, ModRM and SIB, displacement, immediates (SDM vol. 2, chapter 2).
#include "executor/cpu/execution.h"

#include <algorithm>
#include <cstring>

#include "executor/cpu/opcode_table.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kPage = 4096;

/// Base, index and default segment of the eight 16-bit forms (SDM vol. 2, table 2-1).
struct Form16 {
    std::uint8_t base, index, segment;
};
constexpr std::uint8_t kNone = 8;
constexpr Form16 kForms16[8] = {{kRbx, kRsi, kDs},  {kRbx, kRdi, kDs},  {kRbp, kRsi, kSs},  {kRbp, kRdi, kSs},
                                {kRsi, kNone, kDs}, {kRdi, kNone, kDs}, {kRbp, kNone, kSs}, {kRbx, kNone, kDs}};

}  // namespace

bool Execution::refuse(unsigned which) {
    fault = which == kSs ? Fault::stack_fault() : Fault::general_protection();
    return false;
}

bool Execution::misaligned() {
    fault = {Vector::alignment_check, 0, 0};
    return false;
}

/// Makes `wanted` bytes of the instruction available: first up to the page's end, then the next page.
bool Execution::fetch(unsigned wanted) {
    while (available_ < wanted) {
        const std::uint32_t at = start + available_;
        const std::uint32_t limit = vcpu.cs().limit;
        if (wanted > kLongestInstruction || at > limit || at < start) {
            fault = Fault::general_protection();
            return false;
        }
        const std::uint64_t linear = linear_of(kCs, at);
        const std::uint32_t to_page_end = kPage - static_cast<std::uint32_t>(linear & (kPage - 1));
        std::uint32_t count = std::min<std::uint32_t>(to_page_end, kLongestInstruction - available_);
        if (limit - at < count) count = limit - at + 1;
        if (!passed(memory.fetch(linear, bytes_.data() + available_, count, privilege))) return false;
        available_ = static_cast<std::uint8_t>(available_ + count);
    }
    return true;
}

/// The next 1, 2 or 4 bytes.
bool Execution::take(unsigned bytes, std::uint32_t& value) {
    if (position + bytes > available_ && !fetch(position + bytes)) return false;
    const std::uint8_t* const from = bytes_.data() + position;
    position = static_cast<std::uint8_t>(position + bytes);
    if (bytes == 1) {
        value = *from;
    } else if (bytes == 2) {
        value = static_cast<std::uint32_t>(from[0] | from[1] << 8);
    } else {
        std::memcpy(&value, from, 4);
    }
    return true;
}

bool Execution::decode() {
    word_size = address_size = vcpu.cs().big ? 4 : 2;
    std::uint32_t value = 0;
    bool address_prefix = false;
    for (;;) {
        if (!take(1, value)) return false;
        row = &kOpcodes[value];
        if ((row->shape & shape::prefix) == 0) break;
        switch (value) {
            case 0x66: operand_prefix = true; break;
            case 0x67: address_prefix = true; break;
            case 0xF0: lock = true; break;
            case 0xF2:
            case 0xF3: repeat = static_cast<std::uint8_t>(value); break;
            default:
                has_override = true;
                segment = static_cast<std::uint8_t>(value < 0x64 ? (value >> 3) & 3 : value - 0x64 + kFs);
        }
    }
    // A prefix that comes twice still toggles once.
    if (operand_prefix) word_size ^= 2 ^ 4;
    if (address_prefix) address_size ^= 2 ^ 4;
    opcode = static_cast<std::uint16_t>(value);
    if (value == 0x0F) {
        if (!take(1, value)) return false;
        opcode = static_cast<std::uint16_t>(0x100 + value);
        row = &kOpcodes[opcode];
    }
    size = (row->shape & shape::byte) != 0 ? 1 : word_size;
    if ((row->shape & shape::modrm) != 0 && !decode_modrm()) return false;
    if ((row->shape & ~(shape::modrm | shape::byte | shape::registers)) != 0 && !decode_immediates()) return false;
    next = start + position;
    if (lock && !(is_memory && ((row->lockable >> reg()) & 1) != 0)) {
        fault = Fault::invalid_opcode();
        return false;
    }
    return true;
}

bool Execution::decode_modrm() {
    std::uint32_t value;
    if (!take(1, value)) return false;
    modrm = static_cast<std::uint8_t>(value);
    is_memory = modrm < 0xC0 && (row->shape & shape::registers) == 0;
    if (!is_memory) return true;
    return address_size == 4 ? decode_address32() : decode_address16();
}

bool Execution::decode_address32() {
    const unsigned mod = modrm >> 6;
    unsigned base = rm();
    std::uint32_t sum = 0, value = 0;
    if (base == 4) {
        if (!take(1, value)) return false;
        const unsigned index = (value >> 3) & 7;
        base = value & 7;
        if (index != 4) sum = vcpu.reg32(index) << (value >> 6);
    }
    unsigned displacement = mod == 0 ? 0 : mod == 1 ? 1 : 4;
    if (mod == 0 && base == kRbp) {
        displacement = 4;
    } else {
        sum += vcpu.reg32(base);
        base_is_esp = base == kRsp;
        if (!has_override && (base == kRsp || base == kRbp)) segment = kSs;
    }
    if (displacement != 0) {
        if (!take(displacement, value)) return false;
        sum += static_cast<std::uint32_t>(arithmetic::sign_extend(value, displacement));
    }
    offset = sum;
    return true;
}

bool Execution::decode_address16() {
    const unsigned mod = modrm >> 6;
    const Form16& form = kForms16[rm()];
    std::uint32_t sum = 0, value = 0;
    unsigned displacement = mod;
    if (mod == 0 && rm() == 6) {
        displacement = 2;
    } else {
        sum = vcpu.reg32(form.base);
        if (form.index != kNone) sum += vcpu.reg32(form.index);
        if (!has_override) segment = form.segment;
    }
    if (displacement != 0) {
        if (!take(displacement, value)) return false;
        sum += static_cast<std::uint32_t>(arithmetic::sign_extend(value, displacement));
    }
    offset = sum & 0xFFFF;
    return true;
}

bool Execution::decode_immediates() {
    const std::uint16_t has = row->shape;
    std::uint32_t value;
    if ((has & shape::imm8) != 0 || ((has & shape::imm_of_test) != 0 && reg() < 2 && size == 1)) {
        if (!take(1, value)) return false;
        imm = static_cast<std::uint32_t>(arithmetic::sign_extend(value, 1));
    }
    if ((has & shape::imm_word) != 0 || ((has & shape::imm_of_test) != 0 && reg() < 2 && size != 1))
        if (!take(word_size, imm)) return false;
    if ((has & shape::imm16) != 0 && !take(2, imm)) return false;
    if ((has & shape::memory_offset) != 0) {
        if (!take(address_size, offset)) return false;
        is_memory = true;
    }
    if ((has & (shape::imm8_behind | shape::selector)) != 0) {
        if (!take((has & shape::selector) != 0 ? 2 : 1, value)) return false;
        imm2 = static_cast<std::uint16_t>(value);
    }
    return true;
}

}  // namespace trapline::executor
