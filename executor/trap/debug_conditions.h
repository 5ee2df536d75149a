// SPDX-License-Identifier: Apache-2.0
// The breakpoints of DR0 to DR3 as conditions: which of them an instruction or one of its accesses meets (SDM vol. 3, "Debug
// Registers"). When a debug exception follows is the caller's affair.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "executor/cpu/vcpu.h"

namespace trapline::executor {

/// Bits of DR6 beside B0 to B3.
namespace dr6 {
inline constexpr std::uint32_t single_step = 1u << 14;
}

/// What an instruction does to the address that a breakpoint names.
enum class WatchedAccess : std::uint8_t { read, write, port };

/// The breakpoints as they were when it was made: an instruction that changes debug registers is judged by the old ones.
class DebugConditions {
public:
    /// Takes the breakpoints that L or G enables; LE and GE count for nothing since the P6. Those for ports need CR4.DE.
    explicit DebugConditions(const Vcpu& vcpu);

    /// The B bits of breakpoints on the instruction whose first byte, prefixes included, stands at a linear address. LEN does not
    /// count: the manuals leave other values than 0 undefined there.
    std::uint32_t at_instruction(std::uint32_t linear) const;
    /// The B bits of breakpoints that an access of `size` bytes meets with any of them. Linear addresses wrap at 4 GiB.
    std::uint32_t at_access(WatchedAccess access, std::uint32_t address, std::size_t size) const;

private:
    struct Breakpoint {
        std::uint32_t address = 0, length = 1;
        std::uint8_t stops = 0;  ///< bit 1 << WatchedAccess for each kind, kExecution for instructions
    };
    static constexpr std::uint8_t kExecution = 8;

    std::array<Breakpoint, 4> breakpoints_;
};

}  // namespace trapline::executor
