// SPDX-License-Identifier: Apache-2.0
// Resources as slots and windows.
#include "observe.h"

#include <algorithm>

#include <fmt/format.h>

namespace trapline::ring0 {

namespace {

constexpr std::uint64_t kAll = ~std::uint64_t{0};
constexpr std::uint64_t kResumeFlag = 0x10000;

struct View {
    std::string_view resource;
    Slot slot;
    std::uint64_t mask;
};
constexpr View kViews[] = {
    {"rsp", rsp, kAll}, {"cpl", cs, 3}, {"rflags.vm", rflags, 0x20000}, {"rflags.iopl", rflags, 0x3000}, {"rflags.ac", rflags, 0x40000},
    {"rflags.if", rflags, 0x200}, {"rflags.vif", rflags, 0x80000}, {"rflags.vip", rflags, 0x100000}, {"rflags.nt", rflags, 0x4000},
    {"rflags.arith", rflags, 0xCD5}, {"rflags.tf", rflags, 0x100}, {"rflags.id", rflags, 0x200000},
    {"cr0", cr0, ~std::uint64_t{8}}, {"ts", cr0, 8}, {"cr2", cr2, kAll}, {"cr3", cr3, kAll}, {"cr4", cr4, kAll}, {"tpr", cr8, kAll}, {"efer", efer, kAll},
    {"dr", dr0, kAll}, {"dr", dr1, kAll}, {"dr", dr2, kAll}, {"dr", dr3, kAll}, {"dr6", dr6, kAll}, {"dr7", dr7, kAll},
    {"gdtr", gdtr_base, kAll}, {"gdtr", gdtr_limit, kAll}, {"idtr", idtr_base, kAll}, {"idtr", idtr_limit, kAll}, {"ldtr", ldtr, kAll}, {"tr", tr, kAll},
    {"seg.cs", cs, kAll}, {"seg.ss", ss, kAll}, {"seg.ss", probe_ss, kAll}, {"seg.ds", ds, kAll}, {"seg.ds", probe_ds, kAll},
    {"seg.es", es, kAll}, {"seg.es", probe_es, kAll}, {"seg.fs", fs, kAll}, {"seg.fs", probe_fs, kAll}, {"seg.gs", gs, kAll}, {"seg.gs", probe_gs, kAll},
    {"fs.base", fs_base, kAll}, {"gs.base", gs_base, kAll}, {"kernel_gs_base", kernel_gs_base, kAll},
    {"syscall_msrs", star, kAll}, {"syscall_msrs", lstar, kAll}, {"syscall_msrs", cstar, kAll}, {"syscall_msrs", fmask, kAll},
    {"sysenter_msrs", sysenter_cs, kAll}, {"sysenter_msrs", sysenter_esp, kAll}, {"sysenter_msrs", sysenter_eip, kAll},
    {"tsc_aux", tsc_aux, kAll}, {"xcr0", xcr0, kAll}, {"pkru", pkru, kAll}, {"msr", pat, kAll}, {"io.port", io, kAll},
};

// Below the stack pointer the traps' own frames stand (32-bit code without a change of level).
std::size_t live_stack(const MachineResult& after) {
    const std::int64_t offset = static_cast<std::int64_t>(after.slots[rsp] & 0xFFFFFFFF) - (kStack - kStackBytes / 2);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(offset, 0, kStackBytes));
}

bool slot_changed(Slot slot, std::uint64_t mask, const Case& before, const MachineResult& after) {
    // A change of level hides what the stack segment's base was.
    if (slot == probe_ss && after.slots[slot] == 0) return false;
    return ((before.input.slots[slot] ^ after.slots[slot]) & mask) != 0;
}

}  // namespace

const std::vector<std::string>& observable_resources() {
    static const std::vector<std::string> kNames = [] {
        std::vector<std::string> names = {"gpr", "mem", "vmcb", "mem.stack", "descriptor_table"};
        for (const View& view : kViews)
            if (names.back() != view.resource) names.emplace_back(view.resource);
        return names;
    }();
    return kNames;
}

bool is_observable(std::string_view resource, Mode mode) {
    if (resource == "rflags.ac" && mode == Mode::real16) return false;
    const auto& names = observable_resources();
    return std::find(names.begin(), names.end(), resource) != names.end();
}

bool changed(std::string_view resource, const Case& before, const MachineResult& after) {
    if (resource == "gpr") {
        for (unsigned slot = rax; slot <= r15; ++slot)
            if (slot != rsp && before.input.slots[slot] != after.slots[slot]) return true;
        return false;
    }
    const auto data_differs = [&](std::size_t begin, std::size_t end) {
        return !std::equal(after.data.begin() + static_cast<std::ptrdiff_t>(begin), after.data.begin() + static_cast<std::ptrdiff_t>(end),
                           before.input.data.begin() + static_cast<std::ptrdiff_t>(begin));
    };
    if (resource == "mem") return data_differs(0, kVmcbState);
    if (resource == "vmcb") return data_differs(kVmcbState, kDataBytes);
    if (resource == "mem.stack") return !std::equal(after.stack.begin() + static_cast<std::ptrdiff_t>(live_stack(after)), after.stack.end(),
                                                    before.input.stack.begin() + static_cast<std::ptrdiff_t>(live_stack(after)));
    if (resource == "descriptor_table") return before.gdt1 != after.gdt1 || before.gdt2 != after.gdt2 || before.tables != after.tables;
    return std::any_of(std::begin(kViews), std::end(kViews), [&](const View& view) {
        return view.resource == resource && slot_changed(view.slot, view.mask, before, after);
    });
}

bool results_differ(const Case& a, const MachineResult& after_a, const Case& b, const MachineResult& after_b) {
    for (unsigned slot = 0; slot <= error; ++slot) {
        const std::uint64_t mask = slot == rflags ? ~kResumeFlag : kAll;
        if (((a.input.slots[slot] ^ b.input.slots[slot]) & mask) == 0 && ((after_a.slots[slot] ^ after_b.slots[slot]) & mask) != 0 && slot != rip) return true;
    }
    if (after_a.slots[rip] - a.done_rip != after_b.slots[rip] - b.done_rip) return true;
    for (Slot slot : {probe_ds, probe_es, probe_fs, probe_gs, probe_ss})
        if (after_a.slots[slot] != after_b.slots[slot]) return true;
    const std::size_t live = std::max(live_stack(after_a), live_stack(after_b));
    if (!std::equal(after_a.stack.begin() + static_cast<std::ptrdiff_t>(live), after_a.stack.end(), after_b.stack.begin() + static_cast<std::ptrdiff_t>(live))) return true;
    if (after_a.data != after_b.data) return true;
    // Which of the tables was written, not what stood there before.
    return (a.gdt1 != after_a.gdt1) != (b.gdt1 != after_b.gdt1) || (a.gdt2 != after_a.gdt2) != (b.gdt2 != after_b.gdt2) ||
           (a.tables != after_a.tables) != (b.tables != after_b.tables);
}

MachineResult seen_by_handler(const Case& before, MachineResult after) {
    after.slots[rflags] = after.slots[handler_rflags];
    after.slots[cs] = after.slots[handler_cs];
    after.slots[ss] = after.slots[handler_ss];
    // On a stack of its own the handler does not say where it began; any other value than before will do.
    after.slots[rsp] = after.slots[handler_rsp] != 0 ? after.slots[handler_rsp] : before.input.slots[rsp] + 1;
    after.slots[probe_ss] = 0;
    return after;
}

std::string fault_text(std::uint64_t vector_number, std::uint64_t code) {
    static constexpr std::string_view kNames[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "vector 9", "#TS", "#NP", "#SS", "#GP", "#PF",
                                                  "vector 15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
    if (vector_number >= std::size(kNames)) return fmt::format("vector {}", vector_number);
    const bool has_error = (code & 0xFFFFFFFF) != 0xFFFFFFFF;
    if (!has_error) return std::string(kNames[vector_number]);
    return fmt::format("{}({})", kNames[vector_number], code == 0 ? "0" : fmt::format("{:#x}", code));
}

}  // namespace trapline::ring0
