// SPDX-License-Identifier: Apache-2.0
// The words that the decode module's two JSON files share: prefixes, modes, mod, lists of numbers. Errors are noted
// at the cursor, and the value read so far is returned.
#pragma once

#include <cstdint>
#include <functional>

#include "isa/json_reader.h"
#include "isa/record.h"

namespace trapline::decode {

inline constexpr std::uint8_t kAnyPrefix =
    isa::PrefixSet::np | isa::PrefixSet::p66 | isa::PrefixSet::f3 | isa::PrefixSet::f2;
/// Bits of conditions on ModRM.mod.
inline constexpr std::uint8_t kMemoryBit = 1, kRegisterBit = 2;

/// Gives the set of all modes.
ModeSet all_modes();
/// Reads an array of mode names.
ModeSet read_modes(const isa::JsonCursor& list);
/// Reads "np", "66", "f3", "f2" or an array of them as PrefixSet bits; `absent` when there is no such member.
std::uint8_t read_prefixes(const isa::JsonCursor& row, std::uint8_t absent);
/// Reads "mod": "mem" or "reg" as kMemoryBit, kRegisterBit; both when there is no such member.
std::uint8_t read_mod_bits(const isa::JsonCursor& row);
/// Reads a list such as "00-03 08,0A-0B" of numbers in `base` below `limit`, calling `visit` for each.
void read_numbers(const isa::JsonCursor& text, int base, int limit, const std::function<void(int)>& visit);
/// Reads an optional list member of decimal numbers below `limit` (at most 16) as a bit mask; all ones when absent.
std::uint16_t read_mask(const isa::JsonCursor& row, std::string_view key, int limit);

}  // namespace trapline::decode
