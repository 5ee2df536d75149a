// SPDX-License-Identifier: Apache-2.0
// Executes moves between registers and memory, and the instructions that change single flags.
#include "executor/cpu/handlers.h"

namespace trapline::executor::handlers {
namespace {

Step extend(Execution& x, unsigned from, bool is_signed) {
    std::uint32_t value;
    if (!x.load(value, from)) return Step::fault;
    x.put(x.reg(), is_signed ? static_cast<std::uint32_t>(arithmetic::sign_extend(value, from)) : value, x.size);
    return Step::done;
}

constexpr std::uint64_t kAhFlags = flag::cf | flag::pf | flag::af | flag::zf | flag::sf;

}  // namespace

Step mov_rm_reg(Execution& x) { return x.store(x.get(x.reg(), x.size)) ? Step::done : Step::fault; }

Step mov_reg_rm(Execution& x) {
    std::uint32_t value;
    if (!x.load(value)) return Step::fault;
    x.put(x.reg(), value, x.size);
    return Step::done;
}

Step mov_rm_imm(Execution& x) {
    if (x.reg() != 0) return x.invalid();
    return x.store(x.imm) ? Step::done : Step::fault;
}

Step mov_reg_imm(Execution& x) {
    x.put(x.opcode & 7, x.imm, x.size);
    return Step::done;
}

Step mov_acc_memory(Execution& x) {
    std::uint32_t value;
    if (!x.read(x.segment, x.offset, value, x.size)) return Step::fault;
    x.put(kRax, value, x.size);
    return Step::done;
}

Step mov_memory_acc(Execution& x) { return x.write(x.segment, x.offset, x.get(kRax, x.size), x.size) ? Step::done : Step::fault; }

Step movzx_byte(Execution& x) { return extend(x, 1, false); }
Step movzx_word(Execution& x) { return extend(x, 2, false); }
Step movsx_byte(Execution& x) { return extend(x, 1, true); }
Step movsx_word(Execution& x) { return extend(x, 2, true); }

/// Part of SSE2, but it touches no vector register and asks nothing of CR0 or CR4.
Step movnti(Execution& x) {
    if (!x.is_memory) return x.invalid();
    if (x.repeat != 0 || x.operand_prefix) return Step::not_here;  // no such form in the manual: the CPU decides
    return x.write(x.segment, x.offset, x.get(x.reg(), 4), 4) ? Step::done : Step::fault;
}

/// The source is read, with its faults, whatever the condition.
Step cmov(Execution& x) {
    std::uint32_t value;
    if (!x.load(value)) return Step::fault;
    if (arithmetic::holds(x.opcode & 15, x.vcpu.rflags)) x.put(x.reg(), value, x.size);
    return Step::done;
}

Step setcc(Execution& x) { return x.store(arithmetic::holds(x.opcode & 15, x.vcpu.rflags)) ? Step::done : Step::fault; }

Step lea(Execution& x) {
    if (!x.is_memory) return x.invalid();
    x.put(x.reg(), x.offset, x.size);
    return Step::done;
}

Step xchg_rm_reg(Execution& x) {
    std::uint32_t a;
    if (!x.load_to_modify(a)) return Step::fault;
    if (!x.store_back(x.get(x.reg(), x.size))) return Step::fault;
    x.put(x.reg(), a, x.size);
    return Step::done;
}

Step xchg_acc_reg(Execution& x) {
    const unsigned number = x.opcode & 7;
    const std::uint32_t a = x.get(kRax, x.size);
    x.put(kRax, x.get(number, x.size), x.size);
    x.put(number, a, x.size);
    return Step::done;
}

Step xlat(Execution& x) {
    std::uint32_t value;
    if (!x.read(x.segment, (x.get(kRbx, 4) + x.get(kRax, 1)) & x.address_mask(), value, 1)) return Step::fault;
    x.put(kRax, value, 1);
    return Step::done;
}

/// D6, which Intel left out of its tables for long: AL is all ones if CF, else 0.
Step salc(Execution& x) {
    x.put(kRax, (x.vcpu.rflags & flag::cf) != 0 ? 0xFF : 0, 1);
    return Step::done;
}

Step lahf(Execution& x) {
    x.put(4, static_cast<std::uint32_t>((x.vcpu.rflags & kAhFlags) | flag::fixed), 1);
    return Step::done;
}

Step sahf(Execution& x) {
    arithmetic::replace(x.vcpu.rflags, kAhFlags, x.get(4, 1) & kAhFlags);
    return Step::done;
}

Step flag_operation(Execution& x) {
    std::uint64_t& flags = x.vcpu.rflags;
    switch (x.opcode) {
        case 0xF5: flags ^= flag::cf; break;
        case 0xF8: flags &= ~flag::cf; break;
        case 0xF9: flags |= flag::cf; break;
        case 0xFC: flags &= ~flag::df; break;
        default: flags |= flag::df; break;
    }
    return Step::done;
}

Step nop(Execution&) { return Step::done; }

}  // namespace trapline::executor::handlers
