// SPDX-License-Identifier: Apache-2.0
// Reads one interface (isa-specs/abi/*.json) from JSON.
#pragma once

#include "isa/abi.h"
#include "isa/json_reader.h"

namespace trapline::isa {

/// Reads the interface at `cursor`; errors are noted in the cursor's list and the interface is then partial. Unknown keys
/// and values are errors; whether it fits the records is lint's business (abi_lint.h).
Abi read_abi(const JsonCursor& cursor);

}  // namespace trapline::isa
