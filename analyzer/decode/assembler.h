// SPDX-License-Identifier: Apache-2.0
// The project's own assembler: Intel-syntax text to flat bytes, on LLVM MC. LLVM headers stay in llvm_assembler.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "isa/mode.h"
#include "support/address.h"
#include "support/error.h"

namespace trapline::decode {

/// What a text assembles to, as if loaded at the base that was asked for.
struct Assembled {
    std::vector<std::uint8_t> bytes;
    std::map<std::string, std::uint64_t, std::less<>> symbols;  ///< labels: their addresses; `.set` names: their values
};

/// Assembles Intel-syntax `text` (registers without '%', `.macro`, `.set`, `.code16/32/64` and the other directives of
/// GNU as; comments with '#') for the code width of `mode`, and resolves every reference as if the first byte stood at
/// `base`. There is one section: text that fills another, or names a symbol that it does not define, is refused.
/// Where the architecture has several encodings the shortest is chosen, as GNU as does. LLVM's Intel syntax has its own
/// ways: PUSH and POP of a segment register are 16 bits wide in 32-bit code, a far pointer and a CALL to a bare number
/// cannot be written; bytes or `.att_syntax` help.
/// Fails with the first diagnostic: `malformed`, the message names the line of `text` (from 1) and shows it. A value that
/// does not fit its field is `malformed` too. Costs about a millisecond besides the text: the targets are set up each time.
Result<Assembled> assemble(std::string_view text, Mode mode, VirtAddr base);

}  // namespace trapline::decode
