// SPDX-License-Identifier: Apache-2.0
// Executes bit tests and scans, double shifts, byte swaps and the exchange instructions.
#include <bit>

#include "executor/cpu/handlers.h"

namespace trapline::executor::handlers {
namespace {

/// BT BTS BTR BTC are 0 to 3. Only CF is defined afterwards, and ZF stays; here all others stay.
Step test_bit(Execution& x, unsigned operation, unsigned number) {
    const std::uint32_t bit = 1u << (number & (arithmetic::bits(x.size) - 1));
    std::uint32_t value;
    if (operation == 0) {
        if (!x.load(value)) return Step::fault;
    } else {
        if (!x.load_to_modify(value)) return Step::fault;
        const std::uint32_t changed = operation == 1 ? value | bit : operation == 2 ? value & ~bit : value ^ bit;
        if (!x.store_back(changed)) return Step::fault;
    }
    arithmetic::set(x.vcpu.rflags, flag::cf, (value & bit) != 0);
    return Step::done;
}

Step shift_double(Execution& x, unsigned count) {
    std::uint32_t a;
    std::uint64_t flags = x.vcpu.rflags;
    if (!x.load_to_modify(a)) return Step::fault;
    const std::uint32_t fill = x.get(x.reg(), x.size);
    const bool right = (x.opcode & 8) != 0;
    if (!x.store_back(right ? arithmetic::shift_right_double(flags, a, fill, count, x.size) : arithmetic::shift_left_double(flags, a, fill, count, x.size)))
        return Step::fault;
    x.vcpu.rflags = flags;
    return Step::done;
}

}  // namespace

Step bit_rm_reg(Execution& x) {
    const std::uint32_t number = x.get(x.reg(), x.size);
    if (x.is_memory) {
        // The bit string reaches 2 GiB in both directions from the operand.
        const std::int32_t index = arithmetic::sign_extend(number, x.size) >> (x.size == 4 ? 5 : 4);
        x.offset = (x.offset + static_cast<std::uint32_t>(index) * x.size) & x.address_mask();
    }
    return test_bit(x, (x.opcode >> 3) & 3, number);
}

Step bit_rm_imm(Execution& x) { return x.reg() < 4 ? x.invalid() : test_bit(x, x.reg() & 3, x.imm); }

/// BSF and BSR. F3 makes them TZCNT and LZCNT on later CPUs only. A source of 0 leaves the destination alone, as every CPU does.
Step bit_scan(Execution& x) {
    std::uint32_t value;
    if (!x.load(value)) return Step::fault;
    arithmetic::set(x.vcpu.rflags, flag::zf, value == 0);
    if (value != 0) x.put(x.reg(), static_cast<std::uint32_t>(x.opcode == 0x1BC ? std::countr_zero(value) : 31 - std::countl_zero(value)), x.size);
    return Step::done;
}

Step shift_double_imm(Execution& x) { return shift_double(x, x.imm & 0xFF); }
Step shift_double_cl(Execution& x) { return shift_double(x, x.get(kRcx, 1)); }

/// With 16-bit operands the manual leaves the result undefined; CPUs clear the register's low half.
Step bswap(Execution& x) {
    const unsigned number = x.opcode & 7;
    x.put(number, x.size == 4 ? __builtin_bswap32(x.get(number, 4)) : 0, x.size);
    return Step::done;
}

Step xadd(Execution& x) {
    std::uint32_t a;
    std::uint64_t flags = x.vcpu.rflags;
    if (!x.load_to_modify(a)) return Step::fault;
    const std::uint32_t b = x.get(x.reg(), x.size), sum = arithmetic::add(flags, a, b, false, x.size);
    if (x.is_memory && !x.store_back(sum)) return Step::fault;
    x.put(x.reg(), a, x.size);
    if (!x.is_memory) x.put(x.rm(), sum, x.size);  // last: both may be one register
    x.vcpu.rflags = flags;
    return Step::done;
}

Step cmpxchg(Execution& x) {
    std::uint32_t a;
    std::uint64_t flags = x.vcpu.rflags;
    if (!x.load_to_modify(a)) return Step::fault;
    arithmetic::subtract(flags, x.get(kRax, x.size), a, false, x.size);
    const bool equal = (flags & flag::zf) != 0;
    // The destination is written in either case (SDM vol. 2, CMPXCHG).
    if (!x.store_back(equal ? x.get(x.reg(), x.size) : a)) return Step::fault;
    if (!equal) x.put(kRax, a, x.size);
    x.vcpu.rflags = flags;
    return Step::done;
}

Step cmpxchg8b_group(Execution& x) {
    if (x.reg() != 1 || !x.is_memory) return x.invalid();  // RDRAND and RDSEED are hidden
    std::uint64_t linear, value = 0;
    if (!x.locate(x.segment, x.offset, 8, Access::write, linear) || !x.passed(x.memory.check_write(linear, 8, x.privilege)) ||
        !x.passed(x.memory.read(linear, &value, 8, x.privilege)))
        return Step::fault;
    const std::uint64_t expected = (std::uint64_t{x.get(kRdx, 4)} << 32) | x.get(kRax, 4);
    const bool equal = value == expected;
    const std::uint64_t stored = equal ? (std::uint64_t{x.get(kRcx, 4)} << 32) | x.get(kRbx, 4) : value;
    if (!x.passed(x.memory.write(linear, &stored, 8, x.privilege))) return Step::fault;
    if (!equal) {
        x.put(kRax, static_cast<std::uint32_t>(value), 4);
        x.put(kRdx, static_cast<std::uint32_t>(value >> 32), 4);
    }
    arithmetic::set(x.vcpu.rflags, flag::zf, equal);
    return Step::done;
}

}  // namespace trapline::executor::handlers
