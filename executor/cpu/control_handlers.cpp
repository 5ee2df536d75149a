// SPDX-License-Identifier: Apache-2.0
// Executes jumps, calls, returns and software interrupts.
#include "executor/cpu/handlers.h"
#include "executor/cpu/protection.h"

namespace trapline::executor::handlers {
namespace {

Step jump_to(Execution& x, std::uint32_t target) { return x.jump(target) ? Step::done : Step::fault; }

/// The target's limit is checked before anything is pushed (SDM vol. 2, CALL).
Step call_to(Execution& x, std::uint32_t target) {
    const std::uint32_t behind = x.next;
    return x.jump(target) && x.push(behind, x.size) ? Step::done : Step::fault;
}

/// Far transfers start behind the instruction and leave everything, rip included, as it is after it.
template <typename Transfer>
Step transfer(Execution& x, const Transfer& to) {
    x.vcpu.rip = x.next;
    if (!x.passed(to())) return Step::fault;
    x.next = static_cast<std::uint32_t>(x.vcpu.rip);
    return Step::done;
}

bool load_pointer(Execution& x, std::uint32_t& offset, std::uint32_t& selector) {
    return x.read(x.segment, x.offset, offset, x.size) && x.read(x.segment, x.offset + x.size, selector, 2);
}

Step interrupt(Execution& x, std::uint8_t vector) {
    x.software_vector = vector;
    return Step::trap;
}

}  // namespace

Step jcc(Execution& x) { return arithmetic::holds(x.opcode & 15, x.vcpu.rflags) ? jump_to(x, x.next + x.imm) : Step::done; }
Step jmp(Execution& x) { return jump_to(x, x.next + x.imm); }
Step call(Execution& x) { return call_to(x, x.next + x.imm); }

Step ret(Execution& x) {
    std::uint32_t target;
    if (!x.peek(target, x.size) || !x.jump(target)) return Step::fault;
    x.release(x.size + x.imm);
    return Step::done;
}

Step loop(Execution& x) {
    const std::uint32_t count = (x.get(kRcx, x.address_size) - 1) & x.address_mask();
    const bool zero = (x.vcpu.rflags & flag::zf) != 0;
    const bool taken = count != 0 && (x.opcode == 0xE2 || zero == (x.opcode == 0xE1));
    if (taken && !x.jump(x.next + x.imm)) return Step::fault;
    x.put(kRcx, count, x.address_size);
    return Step::done;
}

Step jcxz(Execution& x) { return x.get(kRcx, x.address_size) == 0 ? jump_to(x, x.next + x.imm) : Step::done; }

Step jmp_far(Execution& x) {
    return transfer(x, [&] { return executor::far_jump(x.vcpu, x.memory, x.imm2, x.imm, x.size); });
}
Step call_far(Execution& x) {
    return transfer(x, [&] { return executor::far_call(x.vcpu, x.memory, x.imm2, x.imm, x.size); });
}
Step ret_far(Execution& x) {
    return transfer(x, [&] { return executor::far_return(x.vcpu, x.memory, x.size, static_cast<std::uint16_t>(x.imm)); });
}
Step iret(Execution& x) {
    return transfer(x, [&] { return executor::interrupt_return(x.vcpu, x.memory, x.size); });
}

Step indirect_group(Execution& x) {
    std::uint32_t target, selector;
    switch (x.reg()) {
        case 0:
        case 1: return inc_dec_rm(x);
        case 2: return x.load(target) ? call_to(x, target) : Step::fault;
        case 4: return x.load(target) ? jump_to(x, target) : Step::fault;
        case 6: return x.load(target) && x.push(target, x.size) ? Step::done : Step::fault;
        case 3:
        case 5:
            if (!x.is_memory) return x.invalid();
            if (!load_pointer(x, target, selector)) return Step::fault;
            x.imm = target;
            x.imm2 = static_cast<std::uint16_t>(selector);
            return x.reg() == 3 ? call_far(x) : jmp_far(x);
        default: return x.invalid();
    }
}

Step int3(Execution& x) { return interrupt(x, 3); }

/// In virtual-8086 mode below IOPL 3 INT n is the monitor's; INT3 and INTO are not sensitive there (SDM vol. 3, 21.3.3). With
/// CR4.VME, which the virtual CPU lacks, the redirection map would decide instead.
Step int_imm(Execution& x) {
    if (x.vcpu.is_v86() && x.vcpu.iopl() < 3) return x.protection();
    return interrupt(x, static_cast<std::uint8_t>(x.imm));
}

Step into(Execution& x) { return (x.vcpu.rflags & flag::of) != 0 ? interrupt(x, 4) : Step::done; }

/// F1 raises #DB behind itself, past all checks of gate privilege: it is no software interrupt.
Step int1(Execution& x) {
    x.fault = {Vector::debug, {}, 0};
    return Step::trap;
}

Step bound(Execution& x) {
    if (!x.is_memory) return x.invalid();  // EVEX elsewhere
    std::uint32_t low, high;
    if (!x.read(x.segment, x.offset, low, x.size) || !x.read(x.segment, x.offset + x.size, high, x.size)) return Step::fault;
    const std::int32_t index = arithmetic::sign_extend(x.get(x.reg(), x.size), x.size);
    const bool inside = index >= arithmetic::sign_extend(low, x.size) && index <= arithmetic::sign_extend(high, x.size);
    return inside ? Step::done : x.raise({Vector::bound_range, {}, 0});
}

Step undefined(Execution& x) { return x.invalid(); }

}  // namespace trapline::executor::handlers
