// SPDX-License-Identifier: Apache-2.0
// What crosses between the monitor and guest code that runs on the processor itself. native_entry.S knows the offsets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trapline::executor {

/// Registers as the guest's instructions have them while they run: real flags, real selectors.
struct NativeFrame {
    std::uint64_t gpr[8] = {};       ///< by Register
    std::uint64_t rip = 0, rflags = 0;
    std::uint32_t cs = 0, ss = 0, ds = 0, es = 0, fs = 0, gs = 0;  ///< selectors of the host's tables
    std::uint64_t monitor_sp = 0;    ///< where the monitor's stack goes on after an exit
    std::uint64_t monitor_fs = 0;    ///< the monitor's FS base (thread-local storage)
    volatile std::uint32_t kick = 0; ///< not 0: do not enter the guest, something waits
    std::uint32_t reserved = 0;
    alignas(64) std::uint8_t fpu[512] = {};  ///< FXSAVE image
};
static_assert(offsetof(NativeFrame, rip) == 0x40 && offsetof(NativeFrame, rflags) == 0x48 && offsetof(NativeFrame, cs) == 0x50);
static_assert(offsetof(NativeFrame, monitor_sp) == 0x68 && offsetof(NativeFrame, monitor_fs) == 0x70);
static_assert(offsetof(NativeFrame, kick) == 0x78 && offsetof(NativeFrame, fpu) == 0x80);

/// What ended a stretch of native execution; the numbers are native_entry.S's.
enum class NativeExit : int {
    signal = 1,  ///< a fault, a breakpoint or an asynchronous signal
    gate = 2,    ///< a hypercall by the gate page
    kicked = 3,  ///< not entered: something waits
};

}  // namespace trapline::executor
