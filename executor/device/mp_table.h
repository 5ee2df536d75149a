// SPDX-License-Identifier: Apache-2.0
// The table by which a PC tells its processors and interrupt wiring (Intel MultiProcessor Specification 1.4, chapter 4).
#pragma once

#include <cstdint>
#include <vector>

namespace trapline::executor {

/// What CPUID says of the processor, which the table repeats.
struct MpProcessor {
    std::uint32_t signature = 0;  ///< CPUID.1:EAX
    std::uint32_t features = 0;   ///< CPUID.1:EDX
};

/// The floating pointer structure and right behind it the configuration table: one processor, the ISA bus, one I/O APIC, virtual wire mode.
/// The bytes are for `address`, a multiple of 16, where guests look: the first KiB, the last KiB of base memory, or F0000h to FFFFFh.
std::vector<std::uint8_t> mp_table(std::uint32_t address, const MpProcessor& processor);

}  // namespace trapline::executor
