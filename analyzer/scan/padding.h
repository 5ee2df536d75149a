// SPDX-License-Identifier: Apache-2.0
// Recognises the filler that compilers, linkers and kernels put between pieces of code, so that a sweep skips it fast.
#pragma once

#include <cstddef>

#include "isa/mode.h"
#include "support/bytes.h"

namespace trapline::scan {

/// Says what stands right before a possible filler: it decides how short a run may be and still be one.
enum class Before : std::uint8_t {
    code,  ///< an instruction that falls through, or a symbol starts here
    call,  ///< a call, which may be to a function that does not return
    stop,  ///< an instruction that does not fall through, filler, undecodable bytes, or the section's start
};

/// Gives how many bytes at the start of `region` are filler, 0 when none. `region` ends at the next symbol.
/// - INT3 (CC): any run after a call or a stop, two or more that end the region, elsewhere from 4 bytes on;
/// - NOP (90): any run after a stop, two or more that end the region, elsewhere from 4 bytes on;
/// - zero: two or more after a call or a stop or at the region's end, elsewhere from 16 bytes on;
/// - long NOPs (66.. 0F 1F /0, 66 90, in 32-bit code LEA and MOV of ESI or EDI to itself): after a stop only.
/// No filler form is sensitive, so a NOP counted here that some branch reaches after all costs no finding.
std::size_t padding_length(Bytes region, Before before, Mode mode);

}  // namespace trapline::scan
