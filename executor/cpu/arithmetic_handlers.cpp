// SPDX-License-Identifier: Apache-2.0
// Executes integer arithmetic.
#include "executor/cpu/handlers.h"

namespace trapline::executor::handlers {
namespace {

constexpr unsigned kCmp = 7;
constexpr Fault kDivideError{Vector::divide_error, {}, 0};

/// Combines the r/m operand with `b` and stores the result there, but for CMP.
Step combine_rm(Execution& x, unsigned operation, std::uint32_t b) {
    std::uint32_t a;
    std::uint64_t flags = x.vcpu.rflags;
    if (operation == kCmp) {
        if (!x.load(a)) return Step::fault;
        arithmetic::combine(operation, flags, a, b, x.size);
    } else {
        if (!x.load_to_modify(a)) return Step::fault;
        if (!x.store_back(arithmetic::combine(operation, flags, a, b, x.size))) return Step::fault;
    }
    x.vcpu.rflags = flags;
    return Step::done;
}

Step shift_rm(Execution& x, unsigned count) {
    std::uint32_t a;
    std::uint64_t flags = x.vcpu.rflags;
    if (!x.load_to_modify(a) || !x.store_back(arithmetic::shift(x.reg(), flags, a, count, x.size))) return Step::fault;
    x.vcpu.rflags = flags;
    return Step::done;
}

/// The accumulator pair: AX, DX:AX or EDX:EAX.
std::uint64_t get_pair(const Execution& x) {
    if (x.size == 1) return x.get(kRax, 2);
    return (std::uint64_t{x.get(kRdx, x.size)} << arithmetic::bits(x.size)) | x.get(kRax, x.size);
}
void put_pair(Execution& x, std::uint64_t value) {
    if (x.size == 1) {
        x.put(kRax, static_cast<std::uint32_t>(value), 2);
    } else {
        x.put(kRax, static_cast<std::uint32_t>(value), x.size);
        x.put(kRdx, static_cast<std::uint32_t>(value >> arithmetic::bits(x.size)), x.size);
    }
}
/// Quotient and remainder go to AL and AH, or to the accumulator and DX or EDX.
void put_quotient(Execution& x, std::uint64_t quotient, std::uint64_t remainder) {
    x.put(kRax, static_cast<std::uint32_t>(quotient), x.size);
    x.put(x.size == 1 ? 4 : kRdx, static_cast<std::uint32_t>(remainder), x.size);
}

/// CF and OF of a multiplication; the manual leaves the others undefined, here they stay.
void set_overflow(Execution& x, bool overflow) { arithmetic::replace(x.vcpu.rflags, flag::cf | flag::of, overflow ? flag::cf | flag::of : 0); }

Step multiply(Execution& x, std::uint32_t b) {
    const std::uint64_t product = std::uint64_t{x.get(kRax, x.size)} * b;
    put_pair(x, product);
    set_overflow(x, (product >> arithmetic::bits(x.size)) != 0);
    return Step::done;
}

std::int64_t signed_product(std::uint32_t a, std::uint32_t b, unsigned size) {
    return std::int64_t{arithmetic::sign_extend(a, size)} * arithmetic::sign_extend(b, size);
}
bool fits(std::int64_t value, unsigned size) {
    const std::int64_t limit = std::int64_t{1} << (arithmetic::bits(size) - 1);
    return value >= -limit && value < limit;
}

Step multiply_signed(Execution& x, std::uint32_t b) {
    const std::int64_t product = signed_product(x.get(kRax, x.size), b, x.size);
    put_pair(x, static_cast<std::uint64_t>(product));
    set_overflow(x, !fits(product, x.size));
    return Step::done;
}

/// IMUL with two or three operands: the product is cut to the operand size.
Step multiply_to_register(Execution& x, std::uint32_t a, std::uint32_t b) {
    const std::int64_t product = signed_product(a, b, x.size);
    x.put(x.reg(), static_cast<std::uint32_t>(product), x.size);
    set_overflow(x, !fits(product, x.size));
    return Step::done;
}

Step divide(Execution& x, std::uint32_t divisor) {
    if (divisor == 0) return x.raise(kDivideError);
    const std::uint64_t dividend = get_pair(x), quotient = dividend / divisor;
    if (quotient > arithmetic::mask(x.size)) return x.raise(kDivideError);
    put_quotient(x, quotient, dividend % divisor);
    return Step::done;
}

Step divide_signed(Execution& x, std::uint32_t divisor_bits) {
    const std::int64_t divisor = arithmetic::sign_extend(divisor_bits, x.size);
    if (divisor == 0) return x.raise(kDivideError);
    const unsigned unused = 64 - 2 * arithmetic::bits(x.size);
    const std::int64_t dividend = static_cast<std::int64_t>(get_pair(x) << unused) >> unused;
    // The one quotient that 64 bits cannot hold.
    if (divisor == -1 && dividend == INT64_MIN) return x.raise(kDivideError);
    const std::int64_t quotient = dividend / divisor;
    if (!fits(quotient, x.size)) return x.raise(kDivideError);
    put_quotient(x, static_cast<std::uint64_t>(quotient), static_cast<std::uint64_t>(dividend % divisor));
    return Step::done;
}

}  // namespace

Step alu_rm_reg(Execution& x) { return combine_rm(x, x.opcode >> 3, x.get(x.reg(), x.size)); }
Step alu_rm_imm(Execution& x) { return combine_rm(x, x.reg(), x.imm & arithmetic::mask(x.size)); }

Step alu_reg_rm(Execution& x) {
    std::uint32_t b;
    if (!x.load(b)) return Step::fault;
    x.put(x.reg(), arithmetic::combine(x.opcode >> 3, x.vcpu.rflags, x.get(x.reg(), x.size), b, x.size), x.size);
    return Step::done;
}

Step alu_acc_imm(Execution& x) {
    x.put(kRax, arithmetic::combine(x.opcode >> 3, x.vcpu.rflags, x.get(kRax, x.size), x.imm & arithmetic::mask(x.size), x.size), x.size);
    return Step::done;
}

Step test_rm_reg(Execution& x) {
    std::uint32_t a;
    if (!x.load(a)) return Step::fault;
    arithmetic::logic(x.vcpu.rflags, a & x.get(x.reg(), x.size), x.size);
    return Step::done;
}

Step test_acc_imm(Execution& x) {
    arithmetic::logic(x.vcpu.rflags, x.get(kRax, x.size) & x.imm, x.size);
    return Step::done;
}

Step inc_reg(Execution& x) {
    const unsigned number = x.opcode & 7;
    x.put(number, arithmetic::increment(x.vcpu.rflags, x.get(number, x.size), x.size), x.size);
    return Step::done;
}

Step dec_reg(Execution& x) {
    const unsigned number = x.opcode & 7;
    x.put(number, arithmetic::decrement(x.vcpu.rflags, x.get(number, x.size), x.size), x.size);
    return Step::done;
}

Step inc_dec_rm(Execution& x) {
    if (x.reg() > 1) return x.invalid();
    std::uint32_t a;
    std::uint64_t flags = x.vcpu.rflags;
    if (!x.load_to_modify(a)) return Step::fault;
    if (!x.store_back(x.reg() == 0 ? arithmetic::increment(flags, a, x.size) : arithmetic::decrement(flags, a, x.size))) return Step::fault;
    x.vcpu.rflags = flags;
    return Step::done;
}

Step unary_group(Execution& x) {
    std::uint32_t a;
    if (x.reg() == 2 || x.reg() == 3) {
        std::uint64_t flags = x.vcpu.rflags;
        if (!x.load_to_modify(a) || !x.store_back(x.reg() == 2 ? ~a & arithmetic::mask(x.size) : arithmetic::subtract(flags, 0, a, false, x.size)))
            return Step::fault;
        x.vcpu.rflags = flags;
        return Step::done;
    }
    if (!x.load(a)) return Step::fault;
    switch (x.reg()) {
        case 4: return multiply(x, a);
        case 5: return multiply_signed(x, a);
        case 6: return divide(x, a);
        case 7: return divide_signed(x, a);
        default: arithmetic::logic(x.vcpu.rflags, a & x.imm, x.size); return Step::done;
    }
}

Step imul_reg_rm(Execution& x) {
    std::uint32_t b;
    if (!x.load(b)) return Step::fault;
    return multiply_to_register(x, x.get(x.reg(), x.size), b);
}

Step imul_reg_rm_imm(Execution& x) {
    std::uint32_t a;
    if (!x.load(a)) return Step::fault;
    return multiply_to_register(x, a, x.imm);
}

Step shift_rm_imm(Execution& x) { return shift_rm(x, x.imm & 0xFF); }
Step shift_rm_one(Execution& x) { return shift_rm(x, 1); }
Step shift_rm_cl(Execution& x) { return shift_rm(x, x.get(kRcx, 1)); }

Step daa_das(Execution& x) {
    const std::uint8_t al = static_cast<std::uint8_t>(x.get(kRax, 1));
    x.put(kRax, arithmetic::decimal_adjust(x.vcpu.rflags, al, x.opcode == 0x2F), 1);
    return Step::done;
}

Step aaa_aas(Execution& x) {
    const std::uint16_t ax = static_cast<std::uint16_t>(x.get(kRax, 2));
    x.put(kRax, arithmetic::ascii_adjust(x.vcpu.rflags, ax, x.opcode == 0x3F), 2);
    return Step::done;
}

Step aam(Execution& x) {
    const std::uint32_t base = x.imm & 0xFF, al = x.get(kRax, 1);
    if (base == 0) return x.raise(kDivideError);
    x.put(kRax, ((al / base) << 8) | (al % base), 2);
    arithmetic::logic(x.vcpu.rflags, al % base, 1);
    return Step::done;
}

Step aad(Execution& x) {
    const std::uint32_t ax = x.get(kRax, 2), result = ((ax & 0xFF) + (ax >> 8) * (x.imm & 0xFF)) & 0xFF;
    x.put(kRax, result, 2);
    arithmetic::logic(x.vcpu.rflags, result, 1);
    return Step::done;
}

Step widen(Execution& x) {
    const unsigned half = x.size / 2;
    x.put(kRax, static_cast<std::uint32_t>(arithmetic::sign_extend(x.get(kRax, half), half)), x.size);
    return Step::done;
}

Step widen_to_dx(Execution& x) {
    x.put(kRdx, (x.get(kRax, x.size) & arithmetic::sign_bit(x.size)) != 0 ? 0xFFFFFFFF : 0, x.size);
    return Step::done;
}

}  // namespace trapline::executor::handlers
