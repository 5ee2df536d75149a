// SPDX-License-Identifier: Apache-2.0
// Physical address dispatch.
#include "executor/device/memory_bus.h"

#include <algorithm>

namespace trapline::executor {

void MemoryBus::claim(std::uint64_t first, std::uint32_t size, MemoryDevice& device) {
    ranges_.push_back({first, size, &device});
    lowest_ = std::min(lowest_, first);
}

const MemoryBus::Range* MemoryBus::find(std::uint64_t address) const {
    for (const Range& one : ranges_) {
        if (address - one.first < one.size) return &one;  // an address below wraps to a large difference
    }
    return nullptr;
}

std::uint32_t MemoryBus::read(std::uint64_t address, unsigned size) const {
    const std::uint32_t ones = size >= 4 ? 0xFFFFFFFF : (1u << (8 * size)) - 1;
    const Range* range = find(address);
    if (range == nullptr || range->size - (address - range->first) < size) return ones;
    return range->device->memory_read(static_cast<std::uint32_t>(address - range->first), size) & ones;
}

void MemoryBus::write(std::uint64_t address, unsigned size, std::uint32_t value) const {
    const Range* range = find(address);
    if (range == nullptr || range->size - (address - range->first) < size) return;
    range->device->memory_write(static_cast<std::uint32_t>(address - range->first), size, value);
}

}  // namespace trapline::executor
