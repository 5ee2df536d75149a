// SPDX-License-Identifier: Apache-2.0
// The I/O APIC (Intel 82093AA datasheet, 290566), with the EOI register of its successors (ICH, version 20h).
#pragma once

#include <array>
#include <cstdint>

#include "executor/device/apic.h"
#include "executor/device/device.h"

namespace trapline::executor {

/// 24 inputs, each with a redirection entry; messages go to the one local APIC. An input that is high is asserted, whatever polarity its
/// entry says: the lines of this machine have no polarity.
class IoApic final : public MemoryDevice {
public:
    static constexpr std::uint64_t kAddress = 0xFEC00000;
    static constexpr std::uint32_t kSize = 0x1000;
    static constexpr unsigned kInputs = 24;
    static constexpr std::uint8_t kVersion = 0x20;

    explicit IoApic(LocalApic& processor) : processor_(processor) { entries_.fill(kMasked); }
    std::uint32_t memory_read(std::uint32_t offset, unsigned size) override;
    void memory_write(std::uint32_t offset, unsigned size, std::uint32_t value) override;

    void set_input(unsigned input, bool high);
    /// A level-triggered interrupt has ended: its inputs may ask again.
    void end(std::uint8_t vector);
    /// Input 0, the 8259s', is passed on as ExtINT.
    bool passes_external() const;

private:
    static constexpr std::uint64_t kMasked = 1u << 16;

    std::uint32_t read_register() const;
    void write_register(std::uint32_t value);
    void ask(unsigned input);
    void ask_by_level(unsigned input);

    LocalApic& processor_;
    std::array<std::uint64_t, kInputs> entries_{};
    std::uint32_t high_ = 0;  ///< inputs as they are
    std::uint8_t selected_ = 0;
    std::uint8_t id_ = 1;     ///< as firmware has set it; must match mp_table.cpp
};

}  // namespace trapline::executor
