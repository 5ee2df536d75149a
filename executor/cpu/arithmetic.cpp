// SPDX-License-Identifier: Apache-2.0
// Shifts, rotates and decimal adjustments: the longer ones of the arithmetic.
#include "executor/cpu/arithmetic.h"

namespace trapline::executor::arithmetic {
namespace {

bool top(std::uint32_t value, unsigned size) { return (value & sign_bit(size)) != 0; }

/// CF and OF of a rotate; the others stay.
std::uint32_t rotated(std::uint64_t& flags, std::uint32_t result, bool carry, bool overflow) {
    set(flags, flag::cf, carry);
    set(flags, flag::of, overflow);
    return result;
}

std::uint32_t shifted(std::uint64_t& flags, std::uint32_t result, bool carry, bool overflow, unsigned size) {
    replace(flags, flag::arithmetic, result_flags(result, size) | (carry ? flag::cf : 0) | (overflow ? flag::of : 0));
    return result;
}

std::uint32_t rotate_left(std::uint64_t& flags, std::uint32_t a, unsigned count, unsigned size) {
    const unsigned by = count % bits(size);
    const std::uint32_t result = by == 0 ? a : ((a << by) | (a >> (bits(size) - by))) & mask(size);
    return rotated(flags, result, (result & 1) != 0, top(result, size) != ((result & 1) != 0));
}

std::uint32_t rotate_right(std::uint64_t& flags, std::uint32_t a, unsigned count, unsigned size) {
    const unsigned by = count % bits(size);
    const std::uint32_t result = by == 0 ? a : ((a >> by) | (a << (bits(size) - by))) & mask(size);
    return rotated(flags, result, top(result, size), top(result, size) != top(result << 1, size));
}

/// Rotates through CF: the value has one bit more.
std::uint32_t rotate_left_carry(std::uint64_t& flags, std::uint32_t a, unsigned count, unsigned size) {
    const unsigned width = bits(size) + 1, by = count % width;
    if (by == 0) return a;
    const std::uint64_t wide = (std::uint64_t{(flags & flag::cf) != 0} << bits(size)) | a;
    const std::uint64_t turned = (wide << by) | (wide >> (width - by));
    const std::uint32_t result = static_cast<std::uint32_t>(turned) & mask(size);
    const bool carry = ((turned >> bits(size)) & 1) != 0;
    return rotated(flags, result, carry, top(result, size) != carry);
}

std::uint32_t rotate_right_carry(std::uint64_t& flags, std::uint32_t a, unsigned count, unsigned size) {
    const unsigned width = bits(size) + 1, by = count % width;
    if (by == 0) return a;
    const std::uint64_t wide = (std::uint64_t{(flags & flag::cf) != 0} << bits(size)) | a;
    const std::uint64_t turned = (wide >> by) | (wide << (width - by));
    const std::uint32_t result = static_cast<std::uint32_t>(turned) & mask(size);
    return rotated(flags, result, ((turned >> bits(size)) & 1) != 0, top(result, size) != top(result << 1, size));
}

}  // namespace

std::uint32_t shift(unsigned operation, std::uint64_t& flags, std::uint32_t a, unsigned count, unsigned size) {
    count &= 31;
    if (count == 0) return a;  // no flag changes either
    switch (operation & 7) {
        case 0: return rotate_left(flags, a, count, size);
        case 1: return rotate_right(flags, a, count, size);
        case 2: return rotate_left_carry(flags, a, count, size);
        case 3: return rotate_right_carry(flags, a, count, size);
        case 5: return shifted(flags, a >> count, ((a >> (count - 1)) & 1) != 0, top(a, size), size);
        case 7: {
            const std::int32_t value = sign_extend(a, size);
            return shifted(flags, static_cast<std::uint32_t>(value >> count) & mask(size), ((value >> (count - 1)) & 1) != 0, false, size);
        }
        default: {  // SHL, and SAL, which is the same
            const std::uint64_t wide = std::uint64_t{a} << count;
            const std::uint32_t result = static_cast<std::uint32_t>(wide) & mask(size);
            const bool carry = ((wide >> bits(size)) & 1) != 0;
            return shifted(flags, result, carry, carry != top(result, size), size);
        }
    }
}

std::uint32_t shift_left_double(std::uint64_t& flags, std::uint32_t a, std::uint32_t fill, unsigned count, unsigned size) {
    count &= 31;
    if (count == 0) return a;
    // The value, the fill and, for 16-bit operands, the value again, from the top of 64 bits downwards.
    const std::uint64_t wide = size == 4 ? (std::uint64_t{a} << 32) | fill : (std::uint64_t{a} << 48) | (std::uint64_t{fill} << 32) | (std::uint64_t{a} << 16);
    const std::uint32_t result = static_cast<std::uint32_t>((wide << count) >> (64 - bits(size)));
    const bool carry = ((wide >> (64 - count)) & 1) != 0;
    return shifted(flags, result, carry, top(a, size) != top(result, size), size);
}

std::uint32_t shift_right_double(std::uint64_t& flags, std::uint32_t a, std::uint32_t fill, unsigned count, unsigned size) {
    count &= 31;
    if (count == 0) return a;
    const std::uint64_t wide = size == 4 ? (std::uint64_t{fill} << 32) | a : (std::uint64_t{a} << 32) | (std::uint64_t{fill} << 16) | a;
    const std::uint32_t result = static_cast<std::uint32_t>(wide >> count) & mask(size);
    const bool carry = ((wide >> (count - 1)) & 1) != 0;
    return shifted(flags, result, carry, top(a, size) != top(result, size), size);
}

std::uint8_t decimal_adjust(std::uint64_t& flags, std::uint8_t al, bool after_subtraction) {
    const bool carry = (flags & flag::cf) != 0;
    const bool low = (al & 0xF) > 9 || (flags & flag::af) != 0;
    const bool high = al > 0x99 || carry;
    const unsigned amount = (low ? 6u : 0u) + (high ? 0x60u : 0u);
    const std::uint8_t result = static_cast<std::uint8_t>(after_subtraction ? al - amount : al + amount);
    // DAS keeps the borrow of its first step; after DAA's first step a carry means AL was above 0x99 anyway.
    const bool borrow = after_subtraction && low && al < 6;
    replace(flags, flag::arithmetic, result_flags(result, 1) | (low ? flag::af : 0) | (high || borrow ? flag::cf : 0));
    return result;
}

std::uint16_t ascii_adjust(std::uint64_t& flags, std::uint16_t ax, bool after_subtraction) {
    const bool adjust = (ax & 0xF) > 9 || (flags & flag::af) != 0;
    // One 16-bit operation with 0x106, so a carry out of AL reaches AH.
    const unsigned amount = adjust ? 0x106 : 0;
    const std::uint16_t result = static_cast<std::uint16_t>((after_subtraction ? ax - amount : ax + amount) & 0xFF0F);
    replace(flags, flag::af | flag::cf, adjust ? flag::af | flag::cf : 0);
    return result;
}

}  // namespace trapline::executor::arithmetic
