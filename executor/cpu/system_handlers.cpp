// SPDX-License-Identifier: Apache-2.0
// Executes what reads and changes the processor's own state: EFLAGS, control and debug registers, MSRs, time, HLT.
#include "executor/cpu/handlers.h"

namespace trapline::executor::handlers {
namespace {

constexpr std::uint64_t kCr0Bits = cr0::pe | cr0::mp | cr0::em | cr0::ts | cr0::et | cr0::ne | cr0::wp | cr0::am | cr0::nw | cr0::cd | cr0::pg;

/// Bits of CR4 and the bit of CPUID(1).EDX that brings each (SDM vol. 3, 2.5); a bit without its feature is reserved. VME and PVI
/// are not in the table: cli, sti, pushf, popf and int_imm would have to know VIF and the redirection map.
struct Cr4Feature {
    std::uint64_t bit;
    unsigned feature;
};
constexpr Cr4Feature kCr4Features[] = {{cr4::tsd, 4}, {cr4::de, 2},   {cr4::pse, 3},     {cr4::pae, 6},
                                       {cr4::mce, 7}, {cr4::pge, 13}, {cr4::osfxsr, 24}, {cr4::osxmmexcpt, 25}};

/// DR6 and DR7: bits that can be written, and those that read as ones (SDM vol. 3, figure 18-1).
constexpr std::uint32_t kDr6Written = 0x0000E00F, kDr6Ones = 0xFFFF0FF0, kDr6Access = 1u << 13;
constexpr std::uint32_t kDr7Written = 0xFFFF23FF, kDr7Ones = 0x00000400, kDr7Detect = 1u << 13;

bool is_supervisor(Execution& x) {
    if (x.vcpu.cpl == 0) return true;
    x.fault = Fault::general_protection();
    return false;
}

std::uint64_t control_value(const Vcpu& vcpu, unsigned number) {
    return number == 0 ? vcpu.cr0 : number == 2 ? vcpu.cr2 : number == 3 ? vcpu.cr3 : vcpu.cr4;
}
bool control_exists(unsigned number) { return number == 0 || (number >= 2 && number <= 4); }

std::uint64_t cr4_bits(Platform& platform) {
    const std::uint32_t features = platform.cpuid(1, 0).edx;
    std::uint64_t bits = cr4::pce;  // came with RDPMC, which has no bit
    for (const Cr4Feature& row : kCr4Features)
        if (((features >> row.feature) & 1) != 0) bits |= row.bit;
    return bits;
}

/// Bits whose change makes PAE read its pointers again; any load of CR3 does (SDM vol. 3, "PDPTE Registers").
constexpr std::uint64_t kCr0Reloads = cr0::pg | cr0::cd | cr0::nw, kCr4Reloads = cr4::pae | cr4::pge | cr4::pse;

Step load_control(Execution& x, unsigned number, std::uint64_t& target, std::uint64_t value) {
    const std::uint64_t old = target;
    target = value;
    const bool reloads = number == 3 || ((old ^ value) & (number == 0 ? kCr0Reloads : kCr4Reloads)) != 0;
    if (reloads && !x.platform.accepts_page_tables()) {
        target = old;
        return x.protection();
    }
    x.platform.control_register_loaded(number, old);
    return Step::done;
}

/// DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them invalid. Checks come in this order: #UD, #GP of the CPL, #DB of DR7.GD.
bool find_debug_register(Execution& x, unsigned& number) {
    number = x.reg();
    if (number == 4 || number == 5) {
        if ((x.vcpu.cr4 & cr4::de) != 0) {
            x.fault = Fault::invalid_opcode();
            return false;
        }
        number += 2;
    }
    if (!is_supervisor(x)) return false;
    if ((x.vcpu.dr[7] & kDr7Detect) == 0) return true;
    x.vcpu.dr[6] |= kDr6Access;
    x.fault = {Vector::debug, {}, 0};
    return false;
}

/// CLI and STI, and IF in POPF: CPL 3 is what virtual-8086 mode has, 0 what real mode has.
bool may_change_if(const Vcpu& vcpu) { return vcpu.cpl <= vcpu.iopl(); }
/// PUSHF and POPF are sensitive in virtual-8086 mode.
bool flags_belong_to_monitor(const Vcpu& vcpu) { return vcpu.is_v86() && vcpu.iopl() < 3; }

}  // namespace

Step pushf(Execution& x) {
    if (flags_belong_to_monitor(x.vcpu)) return x.protection();
    return x.push(static_cast<std::uint32_t>(x.vcpu.rflags & ~(flag::vm | flag::rf)), x.size) ? Step::done : Step::fault;
}

Step popf(Execution& x) {
    if (flags_belong_to_monitor(x.vcpu)) return x.protection();
    std::uint32_t value;
    if (!x.peek(value, x.size)) return Step::fault;
    std::uint64_t changed = flag::arithmetic | flag::tf | flag::df | flag::nt;
    if (x.size == 4) changed |= flag::ac | flag::id;
    if (x.vcpu.cpl == 0) changed |= flag::iopl;
    if (may_change_if(x.vcpu)) changed |= flag::interrupt;
    arithmetic::replace(x.vcpu.rflags, changed, value & changed);
    x.release(x.size);
    return Step::done;
}

Step cli(Execution& x) {
    if (!may_change_if(x.vcpu)) return x.protection();
    x.vcpu.rflags &= ~flag::interrupt;
    return Step::done;
}

Step sti(Execution& x) {
    if (!may_change_if(x.vcpu)) return x.protection();
    x.shadow = (x.vcpu.rflags & flag::interrupt) == 0;
    x.vcpu.rflags |= flag::interrupt;
    return Step::done;
}

Step hlt(Execution& x) {
    if (!is_supervisor(x)) return Step::fault;
    x.vcpu.halted = true;
    return Step::halt;
}

Step clts(Execution& x) {
    if (!is_supervisor(x)) return Step::fault;
    return load_control(x, 0, x.vcpu.cr0, x.vcpu.cr0 & ~cr0::ts);
}

Step mov_from_control(Execution& x) {
    if (!control_exists(x.reg())) return x.invalid();
    if (!is_supervisor(x)) return Step::fault;
    x.put(x.rm(), static_cast<std::uint32_t>(control_value(x.vcpu, x.reg())), 4);
    return Step::done;
}

Step mov_to_control(Execution& x) {
    if (!control_exists(x.reg())) return x.invalid();
    if (!is_supervisor(x)) return Step::fault;
    const std::uint64_t value = x.get(x.rm(), 4);
    const auto has = [&](std::uint64_t bit) { return (value & bit) != 0; };
    switch (x.reg()) {
        case 0:
            if ((has(cr0::pg) && !has(cr0::pe)) || (has(cr0::nw) && !has(cr0::cd))) return x.protection();
            return load_control(x, 0, x.vcpu.cr0, (value & kCr0Bits) | cr0::et);
        case 2: x.vcpu.cr2 = value; return Step::done;
        case 3: return load_control(x, 3, x.vcpu.cr3, value);
        default: return has(~cr4_bits(x.platform)) ? x.protection() : load_control(x, 4, x.vcpu.cr4, value);
    }
}

Step mov_from_debug(Execution& x) {
    unsigned number;
    if (!find_debug_register(x, number)) return Step::fault;
    x.put(x.rm(), static_cast<std::uint32_t>(x.vcpu.dr[number]), 4);
    return Step::done;
}

Step mov_to_debug(Execution& x) {
    unsigned number;
    if (!find_debug_register(x, number)) return Step::fault;
    const std::uint32_t value = x.get(x.rm(), 4);
    x.vcpu.dr[number] = number == 6 ? (value & kDr6Written) | kDr6Ones : number == 7 ? (value & kDr7Written) | kDr7Ones : value;
    return Step::done;
}

Step cpuid(Execution& x) {
    const CpuidLeaf leaf = x.platform.cpuid(x.get(kRax, 4), x.get(kRcx, 4));
    x.put(kRax, leaf.eax, 4);
    x.put(kRbx, leaf.ebx, 4);
    x.put(kRcx, leaf.ecx, 4);
    x.put(kRdx, leaf.edx, 4);
    return Step::done;
}

Step rdtsc(Execution& x) {
    if ((x.vcpu.cr4 & cr4::tsd) != 0 && !is_supervisor(x)) return Step::fault;
    const std::uint64_t time = x.platform.read_tsc();
    x.put(kRax, static_cast<std::uint32_t>(time), 4);
    x.put(kRdx, static_cast<std::uint32_t>(time >> 32), 4);
    return Step::done;
}

Step rdmsr(Execution& x) {
    std::uint64_t value = 0;
    if (!is_supervisor(x)) return Step::fault;
    if (!x.platform.read_msr(x.get(kRcx, 4), value)) return x.protection();
    x.put(kRax, static_cast<std::uint32_t>(value), 4);
    x.put(kRdx, static_cast<std::uint32_t>(value >> 32), 4);
    return Step::done;
}

Step wrmsr(Execution& x) {
    if (!is_supervisor(x)) return Step::fault;
    const std::uint64_t value = (std::uint64_t{x.get(kRdx, 4)} << 32) | x.get(kRax, 4);
    return x.platform.write_msr(x.get(kRcx, 4), value) ? Step::done : x.protection();
}

/// A P6 has the instruction; the virtual one has no counter, so every index is out of range.
Step rdpmc(Execution& x) { return x.protection(); }

Step flush_caches(Execution& x) { return is_supervisor(x) ? Step::done : Step::fault; }

}  // namespace trapline::executor::handlers
