// SPDX-License-Identifier: Apache-2.0
// Integer results together with the flags they leave. Pure functions over values of 1, 2 or 4 bytes, zero-extended to 32 bits.
// Flags that the manual calls undefined get a fixed value; rotates and 0 counts keep what they must keep.
#pragma once

#include <cstdint>

#include "executor/cpu/vcpu.h"

namespace trapline::executor::arithmetic {

constexpr unsigned bits(unsigned size) { return 8 * size; }
constexpr std::uint32_t mask(unsigned size) { return 0xFFFFFFFFu >> (32 - bits(size)); }
constexpr std::uint32_t sign_bit(unsigned size) { return 1u << (bits(size) - 1); }
/// Extends the sign of a value of `size` bytes to 32 bits.
constexpr std::int32_t sign_extend(std::uint32_t value, unsigned size) {
    return static_cast<std::int32_t>(value << (32 - bits(size))) >> (32 - bits(size));
}

/// ZF, SF and PF of a result.
inline std::uint64_t result_flags(std::uint32_t result, unsigned size) {
    std::uint64_t flags = result == 0 ? flag::zf : 0;
    if ((result & sign_bit(size)) != 0) flags |= flag::sf;
    if (__builtin_parity(result & 0xFF) == 0) flags |= flag::pf;
    return flags;
}
inline void set(std::uint64_t& flags, std::uint64_t which, bool on) { flags = on ? flags | which : flags & ~which; }
inline void replace(std::uint64_t& flags, std::uint64_t which, std::uint64_t values) { flags = (flags & ~which) | values; }

inline std::uint32_t add(std::uint64_t& flags, std::uint32_t a, std::uint32_t b, bool carry, unsigned size) {
    const std::uint64_t sum = std::uint64_t{a} + b + carry;
    const std::uint32_t result = static_cast<std::uint32_t>(sum) & mask(size);
    std::uint64_t now = result_flags(result, size) | ((a ^ b ^ result) & flag::af);
    if ((sum >> bits(size)) != 0) now |= flag::cf;
    if (((a ^ result) & (b ^ result) & sign_bit(size)) != 0) now |= flag::of;
    replace(flags, flag::arithmetic, now);
    return result;
}

inline std::uint32_t subtract(std::uint64_t& flags, std::uint32_t a, std::uint32_t b, bool borrow, unsigned size) {
    const std::uint32_t result = (a - b - borrow) & mask(size);
    std::uint64_t now = result_flags(result, size) | ((a ^ b ^ result) & flag::af);
    if (std::uint64_t{b} + borrow > a) now |= flag::cf;
    if (((a ^ b) & (a ^ result) & sign_bit(size)) != 0) now |= flag::of;
    replace(flags, flag::arithmetic, now);
    return result;
}

/// Flags of AND, OR, XOR and TEST, whose result this is.
inline std::uint32_t logic(std::uint64_t& flags, std::uint32_t result, unsigned size) {
    replace(flags, flag::arithmetic, result_flags(result, size));
    return result;
}

/// INC and DEC keep CF.
inline std::uint32_t increment(std::uint64_t& flags, std::uint32_t a, unsigned size) {
    const std::uint64_t carry = flags & flag::cf;
    const std::uint32_t result = add(flags, a, 1, false, size);
    replace(flags, flag::cf, carry);
    return result;
}
inline std::uint32_t decrement(std::uint64_t& flags, std::uint32_t a, unsigned size) {
    const std::uint64_t carry = flags & flag::cf;
    const std::uint32_t result = subtract(flags, a, 1, false, size);
    replace(flags, flag::cf, carry);
    return result;
}

/// The operations of opcodes 00-3F and of groups 80-83, by their number: ADD OR ADC SBB AND SUB XOR CMP. CMP gives `a`.
inline std::uint32_t combine(unsigned operation, std::uint64_t& flags, std::uint32_t a, std::uint32_t b, unsigned size) {
    switch (operation & 7) {
        case 0: return add(flags, a, b, false, size);
        case 1: return logic(flags, a | b, size);
        case 2: return add(flags, a, b, (flags & flag::cf) != 0, size);
        case 3: return subtract(flags, a, b, (flags & flag::cf) != 0, size);
        case 4: return logic(flags, a & b, size);
        case 5: return subtract(flags, a, b, false, size);
        case 6: return logic(flags, a ^ b, size);
        default: subtract(flags, a, b, false, size); return a;
    }
}

/// The operations of the shift groups by their number: ROL ROR RCL RCR SHL SHR SAL SAR. `count` is CL or the immediate.
std::uint32_t shift(unsigned operation, std::uint64_t& flags, std::uint32_t a, unsigned count, unsigned size);
/// SHLD and SHRD. A count above the operand's size, undefined by the manual, goes on with the destination's bits.
std::uint32_t shift_left_double(std::uint64_t& flags, std::uint32_t a, std::uint32_t fill, unsigned count, unsigned size);
std::uint32_t shift_right_double(std::uint64_t& flags, std::uint32_t a, std::uint32_t fill, unsigned count, unsigned size);

/// Decimal adjustments (SDM vol. 2, DAA, DAS, AAA, AAS); `al` or `ax` before, the same after.
std::uint8_t decimal_adjust(std::uint64_t& flags, std::uint8_t al, bool after_subtraction);
std::uint16_t ascii_adjust(std::uint64_t& flags, std::uint16_t ax, bool after_subtraction);

/// Whether condition `code` (the low four bits of Jcc, SETcc, CMOVcc) holds.
inline bool holds(unsigned code, std::uint64_t flags) {
    bool yes = false;
    switch ((code >> 1) & 7) {
        case 0: yes = (flags & flag::of) != 0; break;
        case 1: yes = (flags & flag::cf) != 0; break;
        case 2: yes = (flags & flag::zf) != 0; break;
        case 3: yes = (flags & (flag::cf | flag::zf)) != 0; break;
        case 4: yes = (flags & flag::sf) != 0; break;
        case 5: yes = (flags & flag::pf) != 0; break;
        case 6: yes = ((flags & flag::sf) != 0) != ((flags & flag::of) != 0); break;
        case 7: yes = (flags & flag::zf) != 0 || ((flags & flag::sf) != 0) != ((flags & flag::of) != 0); break;
    }
    return yes != ((code & 1) != 0);
}

}  // namespace trapline::executor::arithmetic
