// SPDX-License-Identifier: Apache-2.0
// The text of disassemblers brought to one form: single spaces, mnemonic without prefixes.
#pragma once

#include <string>
#include <string_view>

namespace trapline::decode {

/// Turns runs of blanks into one space, removes them at both ends, and drops a trailing comment ("# imm = ...").
std::string single_spaced(std::string_view text);

/// Gives the mnemonic of one line in Intel syntax: its first word that is not a prefix ("lock", "rep", "data16",
/// "{evex}", a segment register). Empty when the line holds only prefixes. A view into `text`.
std::string_view mnemonic_of(std::string_view text);

/// Gives `text` with its mnemonic replaced; prefixes and operands stay.
std::string with_mnemonic(std::string_view text, std::string_view mnemonic);

}  // namespace trapline::decode
