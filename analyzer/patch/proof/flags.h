// SPDX-License-Identifier: Apache-2.0
// The bits of RFLAGS as the manuals name them (SDM volume 1, 3.4.3).
#pragma once

#include <cstdint>

namespace trapline::patch::proof {

inline constexpr std::uint64_t kCarry = 1, kAlwaysOne = 2, kParity = 4, kAdjust = 0x10, kZero = 0x40, kSign = 0x80, kTrap = 0x100,
                               kInterrupt = 0x200, kDirection = 0x400, kOverflow = 0x800, kIopl = 0x3000, kNested = 0x4000,
                               kResume = 0x10000, kVirtual8086 = 0x20000, kAlignment = 0x40000, kVirtualInterrupt = 0x80000,
                               kVirtualPending = 0x100000, kIdentification = 0x200000;
/// What arithmetic writes.
inline constexpr std::uint64_t kStatusFlags = kCarry | kParity | kAdjust | kZero | kSign | kOverflow;
/// What POPF of 32 or 64 bits may write at CPL 0; RF becomes 0 and the rest keeps its value (SDM volume 2, POPF, table 4-16).
inline constexpr std::uint64_t kPoppable = kStatusFlags | kTrap | kInterrupt | kDirection | kIopl | kNested | kAlignment | kIdentification;
/// What PUSHF does not show (SDM volume 2, PUSHF: the image has VM and RF cleared).
inline constexpr std::uint64_t kHiddenByPush = kResume | kVirtual8086;

}  // namespace trapline::patch::proof
