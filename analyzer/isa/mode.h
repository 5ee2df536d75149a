// SPDX-License-Identifier: Apache-2.0
// The four operating modes the database distinguishes, as the command line names them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace trapline {

/// Says how bytes are decoded: real mode, 16-bit protected, 32-bit protected, 64-bit.
enum class Mode : std::uint8_t { real16, protected16, protected32, long64 };

inline constexpr std::array kAllModes = {Mode::real16, Mode::protected16, Mode::protected32, Mode::long64};

/// Names the mode as MODEL and the command line do: 16r, 16p, 32, 64.
constexpr std::string_view to_string(Mode mode) {
    switch (mode) {
        case Mode::real16: return "16r";
        case Mode::protected16: return "16p";
        case Mode::protected32: return "32";
        case Mode::long64: return "64";
    }
    return "?";
}

constexpr std::optional<Mode> parse_mode(std::string_view text) {
    for (Mode mode : kAllModes)
        if (to_string(mode) == text) return mode;
    return std::nullopt;
}

/// Gives the default code width in bits: 16, 32 or 64.
constexpr int width_bits(Mode mode) { return mode == Mode::long64 ? 64 : mode == Mode::protected32 ? 32 : 16; }

/// A set of modes, one bit each.
struct ModeSet {
    std::uint8_t bits = 0;
    constexpr bool contains(Mode mode) const { return bits >> static_cast<int>(mode) & 1; }
    constexpr void insert(Mode mode) { bits |= static_cast<std::uint8_t>(1 << static_cast<int>(mode)); }
    friend constexpr bool operator==(ModeSet, ModeSet) = default;
};

}  // namespace trapline
