// SPDX-License-Identifier: Apache-2.0
// What the reference machine must know of a hypercall interface: where the VMM's pages lie in code of one mode and which
// fields say what the guest's privileged state is. None of its templates.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "isa/abi.h"
#include "support/error.h"

namespace trapline::patch::proof {

inline constexpr std::uint64_t kPageBytes = 4096;

/// Registers outside the general file that the interpreted sensitive forms read.
enum class SystemRegister : std::uint8_t { cr0, cr2, cr3, cr4, cr8, ldtr, tr };
inline constexpr std::size_t kSystemRegisters = 7;

struct Layout {
    Mode mode = Mode::long64;      ///< protected32 or long64
    AddressRange stubs;
    std::uint64_t vcpu = 0, gate = 0, pending = 0;  ///< the pages' first bytes
    std::uint64_t reserved_begin = 0, reserved_end = 0;  ///< the hull of all of it: no code of the guest touches it
    // Offsets in the page of the vCPU.
    std::uint32_t flags_if = 0, flags_fixed = 0, event_waits = 0, call_site = 0, call_resume = 0;
    std::array<std::uint32_t, kSystemRegisters> system{};
    // Offsets in the pending page.
    std::uint32_t after_sti = 0, after_flags = 0;
    std::vector<std::uint32_t> steady;  ///< offsets of the 8-byte words that only the VMM may change, without volatile bytes

    std::uint64_t address_mask() const { return mode == Mode::long64 ? ~std::uint64_t{0} : 0xFFFFFFFFu; }
    bool is_reserved(std::uint64_t address, std::uint64_t size) const;
};

/// The bits that a system register has: of a selector 16.
inline std::uint64_t system_mask(const Layout& layout, SystemRegister which) {
    return which == SystemRegister::ldtr || which == SystemRegister::tr ? 0xFFFFu : layout.address_mask();
}

/// Reads it off an interface. Fails with `unsupported` when the interface has no area for the mode, which is the rule for an
/// interface without stubs, and with `malformed` when a field that the proof stands on is missing or misplaced.
Result<Layout> read_layout(const isa::Abi& abi, Mode mode);

}  // namespace trapline::patch::proof
