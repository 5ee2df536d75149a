// SPDX-License-Identifier: Apache-2.0
// The decoder's answer about one instruction.
#pragma once

#include <cstdint>

#include "decode/form_tables.h"

namespace trapline::decode {

struct Insn {
    std::uint8_t length = 0;  ///< bytes, prefixes included; 0 when the bytes are no instruction in this mode
    FormIndex form = 0;       ///< 0 when invalid
    friend constexpr bool operator==(const Insn&, const Insn&) = default;
};

}  // namespace trapline::decode
