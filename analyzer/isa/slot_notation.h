// SPDX-License-Identifier: Apache-2.0
// The manuals' notation of an encoding, "VEX.NDS.128.66.0F38.W0 8C /r:m", as isa-specs/README.md defines it for the
// innocuous families.
#pragma once

#include <string_view>
#include <vector>

#include "isa/encoding.h"
#include "support/error.h"

namespace trapline::isa {

/// Reads one slot. Gives an encoding for each opcode of its range, all else equal; the fields that the opcode maps own
/// (osize64, lock) keep their defaults. An error names the bad token and the legal ones.
Result<std::vector<Encoding>> parse_slot(std::string_view text);

}  // namespace trapline::isa
