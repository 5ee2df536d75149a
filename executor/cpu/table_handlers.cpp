// SPDX-License-Identifier: Apache-2.0
// Executes what deals with descriptor tables: groups 6 and 7, LAR, LSL, ARPL.
#include "executor/cpu/handlers.h"
#include "executor/cpu/protection.h"

namespace trapline::executor::handlers {
namespace {

/// CLTS and LMSW reach these bits of CR0; LMSW cannot clear PE.
constexpr std::uint64_t kMachineStatus = cr0::pe | cr0::mp | cr0::em | cr0::ts;

/// The 16 bits that SLDT, STR and SMSW store in memory; a register gets the whole of `value` as wide as the operand is.
Step store_word(Execution& x, std::uint32_t value) { return x.store(value, x.is_memory ? 2 : x.size) ? Step::done : Step::fault; }

/// All 32 bits of the base are stored whatever the operand size: the manual says 24, but no CPU since the 386 does so.
Step store_table(Execution& x, const TableRegister& table) {
    const std::uint32_t base = static_cast<std::uint32_t>(table.base);
    const bool stored = x.check_write(x.segment, x.offset, 2) && x.check_write(x.segment, x.offset + 2, 4) &&
                        x.write(x.segment, x.offset, table.limit, 2) && x.write(x.segment, x.offset + 2, base, 4);
    return stored ? Step::done : Step::fault;
}

Step load_table(Execution& x, TableRegister& table) {
    if (x.vcpu.cpl != 0) return x.protection();
    std::uint32_t limit, base;
    if (!x.read(x.segment, x.offset, limit, 2) || !x.read(x.segment, x.offset + 2, base, 4)) return Step::fault;
    table = {x.size == 2 ? base & 0xFFFFFF : base, static_cast<std::uint16_t>(limit)};
    return Step::done;
}

Step load_machine_status(Execution& x) {
    if (x.vcpu.cpl != 0) return x.protection();
    std::uint32_t value;
    if (!x.load(value, 2)) return Step::fault;
    const std::uint64_t old = x.vcpu.cr0;
    x.vcpu.cr0 = (old & ~(kMachineStatus & ~cr0::pe)) | (value & kMachineStatus);
    x.platform.control_register_loaded(0, old);
    return Step::done;
}

Step invalidate_page(Execution& x) {
    if (x.vcpu.cpl != 0) return x.protection();
    x.platform.page_invalidated(x.linear_of(x.segment, x.offset));
    return Step::done;
}

Step query(Execution& x, DescriptorQuery what, QueryAnswer& answer) {
    std::uint32_t selector;
    if (!x.load(selector, 2) || !x.passed(query_descriptor(x.vcpu, x.memory, what, static_cast<std::uint16_t>(selector), answer))) return Step::fault;
    arithmetic::set(x.vcpu.rflags, flag::zf, answer.found);
    return Step::done;
}

Step load_register(Execution& x, MaybeFault (*load)(Vcpu&, LinearMemory&, std::uint16_t)) {
    if (x.vcpu.cpl != 0) return x.protection();
    std::uint32_t selector;
    return x.load(selector, 2) && x.passed(load(x.vcpu, x.memory, static_cast<std::uint16_t>(selector))) ? Step::done : Step::fault;
}

}  // namespace

Step system_group6(Execution& x) {
    if (x.vcpu.has_real_segments()) return x.invalid();
    QueryAnswer answer;
    switch (x.reg()) {
        case 0: return store_word(x, x.vcpu.ldtr.selector);
        case 1: return store_word(x, x.vcpu.tr.selector);
        case 2: return load_register(x, load_ldtr);
        case 3: return load_register(x, load_tr);
        case 4: return query(x, DescriptorQuery::readable, answer);
        case 5: return query(x, DescriptorQuery::writable, answer);
        default: return x.invalid();
    }
}

Step system_group7(Execution& x) {
    // With a register operand SMSW and LMSW alone are old; the others came after the virtual CPU or belong to what it hides.
    if (!x.is_memory && x.reg() != 4 && x.reg() != 6) return x.invalid();
    switch (x.reg()) {
        case 0: return store_table(x, x.vcpu.gdtr);
        case 1: return store_table(x, x.vcpu.idtr);
        case 2: return load_table(x, x.vcpu.gdtr);
        case 3: return load_table(x, x.vcpu.idtr);
        case 4: return store_word(x, static_cast<std::uint32_t>(x.vcpu.cr0));
        case 6: return load_machine_status(x);
        case 7: return invalidate_page(x);
        default: return x.invalid();
    }
}

Step lar_lsl(Execution& x) {
    if (x.vcpu.has_real_segments()) return x.invalid();
    QueryAnswer answer;
    const Step step = query(x, x.opcode == 0x102 ? DescriptorQuery::access_rights : DescriptorQuery::limit, answer);
    if (step == Step::done && answer.found) x.put(x.reg(), answer.value, x.size);
    return step;
}

/// Raises the destination's RPL to that of the source.
Step arpl(Execution& x) {
    if (x.vcpu.has_real_segments()) return x.invalid();
    x.size = 2;
    std::uint32_t selector;
    if (!x.load_to_modify(selector)) return Step::fault;
    const std::uint32_t rpl = x.get(x.reg(), 2) & 3;
    const bool raised = (selector & 3) < rpl;
    if (raised && !x.store_back((selector & ~3u) | rpl)) return Step::fault;
    arithmetic::set(x.vcpu.rflags, flag::zf, raised);
    return Step::done;
}

}  // namespace trapline::executor::handlers
