// SPDX-License-Identifier: Apache-2.0
// A VGA as far as text mode needs it: registers that keep what is written, and the screen as text (IBM VGA/XGA Technical
// Reference, 1992). Display memory at B8000h is ordinary RAM.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "executor/device/device.h"

namespace trapline::executor {

/// The registers at 3B0h to 3DFh, CRTC and status at 3Bxh or 3Dxh as the miscellaneous output register says. Fresh in mode 3: 80 x 25
/// colour text.
class VgaText final : public PortDevice {
public:
    static constexpr unsigned kColumns = 80, kRows = 25;
    static constexpr std::uint32_t kMemory = 0xB8000, kMemorySize = 0x8000;

    explicit VgaText(Clock& clock);
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;

    /// The character cell at the screen's upper left corner, and the cursor's, counted from the memory's first.
    unsigned start_cell() const { return crtc_[0x0C] << 8 | crtc_[0x0D]; }
    unsigned cursor_cell() const { return crtc_[0x0E] << 8 | crtc_[0x0F]; }
    /// Columns and lines that the CRT controller shows, at most 132 by 60.
    unsigned columns() const;
    unsigned rows() const;
    /// The screen as lines of UTF-8, without attributes and without spaces at the lines' ends. `memory` is display memory from B8000h on;
    /// the screen wraps at its end, and cells beyond `memory` are empty.
    std::string render(std::span<const std::uint8_t> memory) const;

private:
    bool is_color() const { return (misc_ & 1) != 0; }
    std::uint8_t input_status() const;
    std::uint8_t read_palette();
    void write_palette(std::uint8_t value);
    std::uint8_t read(std::uint16_t port);
    void write(std::uint16_t port, std::uint8_t value);

    Clock& clock_;
    std::array<std::uint8_t, 32> crtc_{}, attribute_{};
    std::array<std::uint8_t, 8> sequencer_{};
    std::array<std::uint8_t, 16> graphics_{};
    std::array<std::uint8_t, 768> palette_{};
    std::uint8_t crtc_index_ = 0, attribute_index_ = 0x20, sequencer_index_ = 0, graphics_index_ = 0;
    std::uint8_t misc_ = 0x67, feature_ = 0, palette_mask_ = 0xFF;
    std::uint16_t palette_read_ = 0, palette_write_ = 0;  ///< byte index into palette_
    bool palette_reads_ = false;
    bool attribute_data_ = false;                         ///< 3C0h takes data next
};

}  // namespace trapline::executor
