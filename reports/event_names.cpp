// SPDX-License-Identifier: Apache-2.0
#include "reports/event_names.h"

#include <array>
#include <fmt/format.h>

namespace trapline::reports {
namespace {

constexpr std::array<std::string_view, 32> kExceptions = {
    "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound range exceeded", "#UD invalid opcode", "#NM device not available",
    "#DF double fault", "coprocessor segment overrun", "#TS invalid TSS", "#NP segment not present", "#SS stack fault", "#GP general protection", "#PF page fault", "reserved",
    "#MF x87 error", "#AC alignment check", "#MC machine check", "#XM SIMD floating point", "#VE virtualization", "#CP control protection", "reserved", "reserved",
    "reserved", "reserved", "reserved", "reserved", "#HV hypervisor injection", "#VC VMM communication", "#SX security", "reserved"};

// Linux on x86 puts the sixteen lines of the two 8259 at 30h and keeps 80h for its 32-bit system call.
constexpr std::uint32_t kLinuxLines = 0x30, kLines = 16, kLinuxSystemCall = 0x80;

}  // namespace

std::string event_name(std::uint32_t vector, std::string_view protocol) {
    if (vector < kExceptions.size()) return std::string(kExceptions[vector]);
    if (protocol.starts_with("Linux")) {
        if (vector - kLinuxLines < kLines) return fmt::format("interrupt, line {} in Linux", vector - kLinuxLines);
        if (vector == kLinuxSystemCall) return "INT 80h, system call in Linux";
    }
    return "interrupt";
}

}  // namespace trapline::reports
