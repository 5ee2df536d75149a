// SPDX-License-Identifier: Apache-2.0
// isa-specs/abi/xen-pv.json against Xen's own public headers: every number, command, offset and size. A name that this
// table does not have is a failure: it could not have been checked.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include <fmt/core.h>

// The newest interface: older ones give sched_op and physdev_op their retired numbers.
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
extern "C" {
#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/physdev.h>
#include <xen/pmu.h>
#include <xen/sched.h>
#include <xen/version.h>
}

#include "isa/loader.h"

using namespace trapline;

namespace {

#define HYPERCALL(name) {#name, __HYPERVISOR_##name}
const std::map<std::string, std::uint32_t> kHypercalls = {
    HYPERCALL(set_trap_table), HYPERCALL(mmu_update), HYPERCALL(set_gdt), HYPERCALL(stack_switch), HYPERCALL(set_callbacks), HYPERCALL(fpu_taskswitch),
    HYPERCALL(set_debugreg), HYPERCALL(get_debugreg), HYPERCALL(update_descriptor), HYPERCALL(update_va_mapping), HYPERCALL(set_timer_op), HYPERCALL(xen_version),
    HYPERCALL(iret), HYPERCALL(vcpu_op), HYPERCALL(set_segment_base), HYPERCALL(mmuext_op), HYPERCALL(sched_op), HYPERCALL(callback_op),
    HYPERCALL(event_channel_op), HYPERCALL(physdev_op), HYPERCALL(xenpmu_op), HYPERCALL(vm_assist), HYPERCALL(memory_op),
};

#define COMMAND(name) {#name, static_cast<std::uint32_t>(name)}
const std::map<std::string, std::map<std::string, std::uint32_t>> kCommands = {
    {"mmuext_op", {COMMAND(MMUEXT_NEW_BASEPTR), COMMAND(MMUEXT_NEW_USER_BASEPTR), COMMAND(MMUEXT_TLB_FLUSH_LOCAL), COMMAND(MMUEXT_TLB_FLUSH_MULTI),
                   COMMAND(MMUEXT_TLB_FLUSH_ALL), COMMAND(MMUEXT_INVLPG_LOCAL), COMMAND(MMUEXT_INVLPG_MULTI), COMMAND(MMUEXT_INVLPG_ALL),
                   COMMAND(MMUEXT_FLUSH_CACHE), COMMAND(MMUEXT_FLUSH_CACHE_GLOBAL), COMMAND(MMUEXT_SET_LDT), COMMAND(MMUEXT_PIN_L4_TABLE)}},
    {"set_segment_base", {COMMAND(SEGBASE_FS), COMMAND(SEGBASE_GS_USER), COMMAND(SEGBASE_GS_KERNEL), COMMAND(SEGBASE_GS_USER_SEL)}},
    {"sched_op", {COMMAND(SCHEDOP_yield), COMMAND(SCHEDOP_block), COMMAND(SCHEDOP_shutdown), COMMAND(SCHEDOP_poll)}},
    {"physdev_op", {COMMAND(PHYSDEVOP_set_iopl), COMMAND(PHYSDEVOP_set_iobitmap)}},
    {"callback_op", {COMMAND(CALLBACKOP_register), COMMAND(CALLBACKOP_unregister)}},
    {"xenpmu_op", {COMMAND(XENPMU_mode_get), COMMAND(XENPMU_mode_set), COMMAND(XENPMU_init)}},
};

struct Place {
    std::uint32_t offset, size;
};
#define PLACE(member) {"vcpu_info." #member, {offsetof(vcpu_info, member), sizeof(vcpu_info::member)}}
#define PLACE_IN(part, type, member) {"vcpu_info." #part "." #member, {offsetof(vcpu_info, part) + offsetof(type, member), sizeof(type::member)}}
const std::map<std::string, Place> kPlaces = {
    PLACE(evtchn_upcall_pending), PLACE(evtchn_upcall_mask), PLACE(evtchn_pending_sel), PLACE_IN(arch, arch_vcpu_info, cr2),
    PLACE_IN(time, vcpu_time_info, version), PLACE_IN(time, vcpu_time_info, tsc_timestamp), PLACE_IN(time, vcpu_time_info, system_time),
};

int failures = 0;
int checked = 0;

void expect(const std::string& where, const std::string& name, std::uint32_t found, std::optional<std::uint32_t> expected) {
    ++checked;
    if (expected == found) return;
    ++failures;
    fmt::print("{}: {}: found {:#x}, {}\n", where, name, found, expected ? fmt::format("expected {:#x}", *expected) : "expected a name that Xen's headers have");
}

template <class Map>
std::optional<std::uint32_t> find(const Map& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? std::nullopt : std::optional<std::uint32_t>(found->second);
}

void check(const isa::AbiOperation& operation, const isa::AbiCall& call) {
    switch (call.means) {
        case isa::AbiMeans::hypercall: {
            expect(operation.operation, call.name, call.number.value_or(0), find(kHypercalls, call.name));
            if (call.command.empty()) return;
            const auto commands = kCommands.find(call.name);
            expect(operation.operation, call.name + ": " + call.command, call.command_number.value_or(0),
                   commands == kCommands.end() ? std::nullopt : find(commands->second, call.command));
            return;
        }
        case isa::AbiMeans::memory: {
            const auto place = kPlaces.find(call.name);
            const bool known = place != kPlaces.end();
            expect(operation.operation, call.name + ", offset", call.offset.value_or(0), known ? std::optional(place->second.offset) : std::nullopt);
            expect(operation.operation, call.name + ", size", call.size.value_or(0), known ? std::optional(place->second.size) : std::nullopt);
            return;
        }
        case isa::AbiMeans::instruction: return;
    }
}

}  // namespace

int main() {
    const auto loaded = isa::load_database(isa::embedded_spec_files());
    const isa::Abi* abi = loaded.database.find_abi("xen-pv");
    if (abi == nullptr) {
        fmt::print("found no interface xen-pv in the database\n");
        return 1;
    }
    for (const isa::AbiOperation& operation : abi->operations)
        for (const isa::AbiCall& call : operation.calls) check(operation, call);
    // XEN_CPUID is the text of the prefix and the mnemonic: UD2, then "xen".
    if (std::string(XEN_CPUID).find("0x0f,0x0b,0x78,0x65,0x6e") == std::string::npos) {
        ++failures;
        fmt::print("XEN_CPUID: found {}, expected UD2 and \"xen\"\n", XEN_CPUID);
    }
    // A floor, so that a loader which drops calls is noticed.
    constexpr int kFewest = 60;
    if (checked < kFewest) fmt::print("found {} constants to check, expected at least {}\n", checked, kFewest);
    fmt::print("xen-pv.json: {} constants checked, {} wrong\n", checked, failures);
    return failures == 0 && checked >= kFewest ? 0 : 1;
}
