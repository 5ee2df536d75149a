// SPDX-License-Identifier: Apache-2.0
// The bytes that stand for a form in a mode, and where their operands are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "isa/database.h"
#include "layout.h"
#include "setups.h"

namespace trapline::ring0 {

struct Instruction {
    std::vector<std::uint8_t> bytes;
    std::string text;                    ///< Intel syntax
    std::vector<Slot> pointer;           ///< registers whose sum, with the displacement, is the address of the memory operand
    std::int64_t displacement = 0;
    std::optional<Slot> last_register;   ///< the last operand, if that is a general register
    std::size_t immediate_offset = 0, immediate_size = 0;
};

/// Picks the example (or the set-up's own bytes) that `record` has in `mode`; nothing when none of its encodings there
/// has operands that can be pointed to.
std::optional<Instruction> pick_instruction(const isa::Record& record, Mode mode, const Setup& setup);

/// Reads a decimal number, or a hexadecimal one after 0x.
std::optional<std::uint64_t> parse_number(std::string_view text);

}  // namespace trapline::ring0
