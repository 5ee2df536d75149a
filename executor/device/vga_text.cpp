// SPDX-License-Identifier: Apache-2.0
// VGA registers and the text screen.
#include "executor/device/vga_text.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace trapline::executor {

namespace {

// Mode 3 as the BIOS sets it: the registers that a text mode guest may read back.
constexpr std::uint8_t kCrtc[] = {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
                                  0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF};
constexpr std::uint8_t kAttribute[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
                                       0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00};
constexpr std::uint8_t kSequencer[] = {0x03, 0x00, 0x03, 0x00, 0x02};
constexpr std::uint8_t kGraphics[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF};

// 70 frames of 449 lines a second, 400 of them shown.
constexpr Nanoseconds kFrame = 14'286'000, kLine = kFrame / 449, kShown = 400 * kLine, kRetrace = 412 * kLine, kRetraceEnd = 414 * kLine;

/// Code page 437, whose graphic characters also stand below 20h.
constexpr std::u16string_view kLowGlyphs = u" ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
constexpr std::u16string_view kHighGlyphs =
    u"⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";
static_assert(kLowGlyphs.size() == 32 && kHighGlyphs.size() == 129);  // the latter from 7Fh on

void append_utf8(std::string& text, char16_t c) {
    if (c < 0x80) {
        text += static_cast<char>(c);
    } else if (c < 0x800) {
        text += static_cast<char>(0xC0 | c >> 6);
        text += static_cast<char>(0x80 | (c & 0x3F));
    } else {
        text += static_cast<char>(0xE0 | c >> 12);
        text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        text += static_cast<char>(0x80 | (c & 0x3F));
    }
}

char16_t glyph(std::uint8_t code) {
    if (code < 0x20) return kLowGlyphs[code];
    return code < 0x7F ? code : kHighGlyphs[code - 0x7Fu];
}

}  // namespace

VgaText::VgaText(Clock& clock) : clock_(clock) {
    std::copy(std::begin(kCrtc), std::end(kCrtc), crtc_.begin());
    std::copy(std::begin(kAttribute), std::end(kAttribute), attribute_.begin());
    std::copy(std::begin(kSequencer), std::end(kSequencer), sequencer_.begin());
    std::copy(std::begin(kGraphics), std::end(kGraphics), graphics_.begin());
}

std::uint8_t VgaText::input_status() const {
    // Guests wait for retraces, so they come and go with time. Bit 0: nothing is shown now; bit 3: vertical retrace.
    const Nanoseconds in_frame = clock_.now() % kFrame, in_line = in_frame % kLine;
    const bool vertical = in_frame >= kRetrace && in_frame < kRetraceEnd;
    const bool blank = in_frame >= kShown || in_line >= kLine * 4 / 5;
    return static_cast<std::uint8_t>((vertical ? 0x08 : 0) | (blank ? 0x01 : 0));
}

std::uint8_t VgaText::read_palette() {
    const std::uint8_t out = palette_[palette_read_];
    palette_read_ = static_cast<std::uint16_t>((palette_read_ + 1u) % palette_.size());
    return out;
}

void VgaText::write_palette(std::uint8_t value) {
    palette_[palette_write_] = value & 0x3F;
    palette_write_ = static_cast<std::uint16_t>((palette_write_ + 1u) % palette_.size());
}

std::uint8_t VgaText::read(std::uint16_t port) {
    switch (port) {
        case 0x3C0: return attribute_index_;
        case 0x3C1: return attribute_[attribute_index_ & 0x1F];
        case 0x3C2: return 0x10;  // input status 0: a colour display is there
        case 0x3C4: return sequencer_index_;
        case 0x3C5: return sequencer_[sequencer_index_];
        case 0x3C6: return palette_mask_;
        case 0x3C7: return palette_reads_ ? 3 : 0;
        case 0x3C8: return static_cast<std::uint8_t>(palette_write_ / 3);
        case 0x3C9: return read_palette();
        case 0x3CA: return feature_;
        case 0x3CC: return misc_;
        case 0x3CE: return graphics_index_;
        case 0x3CF: return graphics_[graphics_index_];
        case 0x3D4: return crtc_index_;
        case 0x3D5: return crtc_[crtc_index_];
        case 0x3DA: attribute_data_ = false; return input_status();
        default: return 0xFF;
    }
}

void VgaText::write(std::uint16_t port, std::uint8_t value) {
    switch (port) {
        case 0x3C0:
            if (attribute_data_) {
                attribute_[attribute_index_ & 0x1F] = value;
            } else {
                attribute_index_ = value & 0x3F;
            }
            attribute_data_ = !attribute_data_;
            break;
        case 0x3C2: misc_ = value; break;
        case 0x3C4: sequencer_index_ = value & 0x07; break;
        case 0x3C5: sequencer_[sequencer_index_] = value; break;
        case 0x3C6: palette_mask_ = value; break;
        case 0x3C7: palette_read_ = static_cast<std::uint16_t>(3 * value); palette_reads_ = true; break;
        case 0x3C8: palette_write_ = static_cast<std::uint16_t>(3 * value); palette_reads_ = false; break;
        case 0x3C9: write_palette(value); break;
        case 0x3CE: graphics_index_ = value & 0x0F; break;
        case 0x3CF: graphics_[graphics_index_] = value; break;
        case 0x3D4: crtc_index_ = value & 0x1F; break;
        case 0x3D5:
            // "Protect": registers 0 to 7 are read-only but for line compare's bit 8.
            if (crtc_index_ <= 7 && (crtc_[0x11] & 0x80) != 0) {
                if (crtc_index_ == 7) crtc_[7] = static_cast<std::uint8_t>((crtc_[7] & ~0x10) | (value & 0x10));
            } else {
                crtc_[crtc_index_] = value;
            }
            break;
        case 0x3DA: feature_ = value; break;
        default: break;
    }
}

std::uint32_t VgaText::port_in(std::uint16_t port, unsigned) {
    if ((port & 0xFFF0) == 0x3C0) return read(port);
    return (port >= 0x3D0) == is_color() ? read(static_cast<std::uint16_t>(0x3D0 | (port & 15))) : 0xFF;
}

void VgaText::port_out(std::uint16_t port, unsigned, std::uint32_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    if ((port & 0xFFF0) == 0x3C0) {
        write(port, byte);
    } else if ((port >= 0x3D0) == is_color()) {
        write(static_cast<std::uint16_t>(0x3D0 | (port & 15)), byte);
    }
}

unsigned VgaText::columns() const { return std::min(crtc_[0x01] + 1u, 132u); }

unsigned VgaText::rows() const {
    // Scan lines shown less one, whose bits 8 and 9 are in the overflow register, by those of a character less one.
    const unsigned lines = (crtc_[0x12] | (crtc_[0x07] & 0x02u) << 7 | (crtc_[0x07] & 0x40u) << 3) + 1;
    return std::clamp(lines / ((crtc_[0x09] & 0x1Fu) + 1), 1u, 60u);
}

std::string VgaText::render(std::span<const std::uint8_t> memory) const {
    std::string out;
    const unsigned pitch = crtc_[0x13] * 2u;  // the offset register counts pairs of cells
    for (unsigned row = 0; row < rows(); ++row) {
        const std::size_t line = out.size();
        std::size_t end = line;  // behind the last glyph that is not a space
        for (unsigned column = 0; column < columns(); ++column) {
            const std::size_t at = (start_cell() + row * pitch + column) * 2 % kMemorySize;
            const char16_t c = at < memory.size() ? glyph(memory[at]) : u' ';
            append_utf8(out, c);
            if (c != u' ') end = out.size();
        }
        out.resize(end);
        out += '\n';
    }
    return out;
}

}  // namespace trapline::executor
