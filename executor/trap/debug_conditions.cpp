// SPDX-License-Identifier: Apache-2.0
#include "executor/trap/debug_conditions.h"

namespace trapline::executor {
namespace {

constexpr std::uint8_t bit(WatchedAccess access) { return static_cast<std::uint8_t>(1u << static_cast<unsigned>(access)); }

/// By R/W: execution, writes, ports, reads and writes.
constexpr std::uint8_t kStops[4] = {8, bit(WatchedAccess::write), bit(WatchedAccess::port), bit(WatchedAccess::read) | bit(WatchedAccess::write)};
/// By LEN. The third is undefined before processors with 64-bit mode, on which it is 8 in every mode.
constexpr std::uint32_t kLengths[4] = {1, 2, 8, 4};

}  // namespace

DebugConditions::DebugConditions(const Vcpu& vcpu) {
    const auto control = static_cast<std::uint32_t>(vcpu.dr[7]);
    for (unsigned i = 0; i < breakpoints_.size(); ++i) {
        if ((control >> (2 * i) & 3) == 0) continue;
        const std::uint8_t stops = kStops[control >> (16 + 4 * i) & 3];
        if (stops == bit(WatchedAccess::port) && (vcpu.cr4 & cr4::de) == 0) continue;
        const std::uint32_t length = stops == kExecution ? 1 : kLengths[control >> (18 + 4 * i) & 3];
        // The low bits that LEN covers are not compared: ranges are aligned.
        breakpoints_[i] = {static_cast<std::uint32_t>(vcpu.dr[i]) & ~(length - 1), length, stops};
    }
}

std::uint32_t DebugConditions::at_instruction(std::uint32_t linear) const {
    std::uint32_t met = 0;
    for (unsigned i = 0; i < breakpoints_.size(); ++i)
        if (breakpoints_[i].stops == kExecution && breakpoints_[i].address == linear) met |= 1u << i;
    return met;
}

std::uint32_t DebugConditions::at_access(WatchedAccess access, std::uint32_t address, std::size_t size) const {
    std::uint32_t met = 0;
    for (unsigned i = 0; i < breakpoints_.size(); ++i) {
        const Breakpoint& each = breakpoints_[i];
        if ((each.stops & bit(access)) == 0) continue;
        // One begins inside the other; differences wrap as addresses do.
        if (each.address - address < size || address - each.address < each.length) met |= 1u << i;
    }
    return met;
}

}  // namespace trapline::executor
