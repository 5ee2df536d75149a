// SPDX-License-Identifier: Apache-2.0
// QEMU's firmware configuration device, by which a machine's owner hands data to its guest (QEMU's documentation,
// "QEMU Firmware Configuration (fw_cfg) Device").
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "executor/device/device.h"

namespace trapline::executor {

/// Guest-physical RAM as a device that masters the bus sees it. Both return false, with nothing transferred, when a byte is not RAM.
struct BusMemory {
    std::function<bool(std::uint64_t address, std::span<std::uint8_t> to)> read;
    std::function<bool(std::uint64_t address, std::span<const std::uint8_t> from)> write;
};

/// Selector at 510h (16-bit writes), data at 511h, DMA address at 514h to 51Bh (big-endian, the low half starts). Items are read-only: a
/// DMA write ends with the error bit.
class FwCfg final : public PortDevice {
public:
    /// Without `memory` the DMA interface is not offered.
    explicit FwCfg(BusMemory memory = {});
    /// Sets the item that `key` selects; keys from 20h to 3FFFh are for files.
    void add_item(std::uint16_t key, std::vector<std::uint8_t> bytes);
    /// Adds a file at the next free key. Names have at most 55 bytes, the rest is cut off.
    void add_file(std::string_view name, std::vector<std::uint8_t> bytes);

    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;

private:
    void select(std::uint16_t key);
    std::uint8_t next_byte();
    void start_dma();
    std::uint32_t transfer(std::uint32_t control, std::uint32_t length, std::uint64_t address);

    BusMemory memory_;
    std::map<std::uint16_t, std::vector<std::uint8_t>> items_;
    std::uint16_t next_file_ = 0x20;
    const std::vector<std::uint8_t>* selected_ = nullptr;
    std::uint64_t offset_ = 0;
    std::uint32_t dma_high_ = 0, dma_low_ = 0;
};

}  // namespace trapline::executor
