// SPDX-License-Identifier: Apache-2.0
// The 64 Ki I/O ports and which device answers at each.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "executor/device/device.h"

namespace trapline::executor {

/// Dispatches port accesses by table. As on an ISA bus: what no device claims reads as all ones and swallows writes, and an access
/// that is wider than the device, or only half of which is the device's, is split into accesses that fit, low address first.
class PortBus {
public:
    PortBus();
    /// Gives `count` ports from `first` on to `device`, which must outlive the bus and takes accesses of up to `width` bytes (1, 2
    /// or 4). Ports that another device has claimed before change hands. At most 255 claims.
    void claim(std::uint16_t first, unsigned count, PortDevice& device, unsigned width = 1);

    /// `size` is 1, 2 or 4 (anything else reads as all ones). The space ends at FFFFh: bytes behind it are nobody's.
    std::uint32_t port_in(std::uint16_t port, unsigned size) const;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) const;

private:
    struct Claim {
        PortDevice* device = nullptr;
        unsigned width = 4;
    };
    bool fits(std::uint32_t port, unsigned size) const;
    std::uint32_t split_in(std::uint32_t port, unsigned size) const;
    void split_out(std::uint32_t port, unsigned size, std::uint32_t value) const;

    std::array<Claim, 256> claims_{};                               ///< [0]: nobody
    unsigned claim_count_ = 1;
    std::unique_ptr<std::array<std::uint8_t, 0x10000 + 4>> owner_;  ///< index into claims_ by port; 4 more so that a dword fits
};

}  // namespace trapline::executor
