// SPDX-License-Identifier: Apache-2.0
// Port dispatch: one table look-up where the access fits the device, a split where it does not.
#include "executor/device/port_bus.h"

#include "support/error.h"

namespace trapline::executor {

namespace {

constexpr std::uint32_t mask_of(unsigned size) { return size >= 4 ? 0xFFFFFFFF : (1u << (8 * size)) - 1; }

}  // namespace

PortBus::PortBus() : owner_(std::make_unique<std::array<std::uint8_t, 0x10000 + 4>>()) {}

void PortBus::claim(std::uint16_t first, unsigned count, PortDevice& device, unsigned width) {
    TRAPLINE_ASSERT(claim_count_ < claims_.size(), "a machine has fewer port ranges than 255");
    TRAPLINE_ASSERT(first + count <= 0x10000, "port ranges end at FFFFh");
    claims_[claim_count_] = {&device, width};
    for (unsigned port = first; port < first + count; ++port) (*owner_)[port] = static_cast<std::uint8_t>(claim_count_);
    ++claim_count_;
}

bool PortBus::fits(std::uint32_t port, unsigned size) const {
    const std::uint8_t owner = (*owner_)[port];
    return size <= claims_[owner].width && (*owner_)[port + size - 1] == owner;
}

std::uint32_t PortBus::port_in(std::uint16_t port, unsigned size) const {
    if (size != 1 && size != 2 && size != 4) return 0xFFFFFFFF;
    return split_in(port, size);
}

void PortBus::port_out(std::uint16_t port, unsigned size, std::uint32_t value) const {
    if (size == 1 || size == 2 || size == 4) split_out(port, size, value & mask_of(size));
}

std::uint32_t PortBus::split_in(std::uint32_t port, unsigned size) const {
    if (fits(port, size)) {
        PortDevice* device = claims_[(*owner_)[port]].device;
        return device == nullptr ? mask_of(size) : device->port_in(static_cast<std::uint16_t>(port), size) & mask_of(size);
    }
    const unsigned half = size / 2;  // a single byte always fits
    const std::uint32_t low = split_in(port, half);
    return low | split_in(port + half, half) << (8 * half);
}

void PortBus::split_out(std::uint32_t port, unsigned size, std::uint32_t value) const {
    if (fits(port, size)) {
        if (PortDevice* device = claims_[(*owner_)[port]].device) device->port_out(static_cast<std::uint16_t>(port), size, value);
        return;
    }
    const unsigned half = size / 2;
    split_out(port, half, value & mask_of(half));
    split_out(port + half, half, value >> (8 * half));
}

}  // namespace trapline::executor
