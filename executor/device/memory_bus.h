// SPDX-License-Identifier: Apache-2.0
// Which device answers at which guest-physical addresses.
#pragma once

#include <cstdint>
#include <vector>

#include "executor/device/device.h"

namespace trapline::executor {

/// A few ranges of physical addresses that are devices, not RAM. What none claims reads as all ones and swallows writes.
class MemoryBus {
public:
    /// `device` must outlive the bus. Ranges do not overlap.
    void claim(std::uint64_t first, std::uint32_t size, MemoryDevice& device);
    /// True if the byte is a device's.
    bool is_device(std::uint64_t address) const { return address >= lowest_ && find(address) != nullptr; }

    /// `size` is 1, 2 or 4; an access across a device's end is nobody's.
    std::uint32_t read(std::uint64_t address, unsigned size) const;
    void write(std::uint64_t address, unsigned size, std::uint32_t value) const;

private:
    struct Range {
        std::uint64_t first = 0;
        std::uint32_t size = 0;
        MemoryDevice* device = nullptr;
    };
    const Range* find(std::uint64_t address) const;

    std::vector<Range> ranges_;
    std::uint64_t lowest_ = ~std::uint64_t{0};  ///< no device is below
};

}  // namespace trapline::executor
