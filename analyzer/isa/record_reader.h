// SPDX-License-Identifier: Apache-2.0
// Reads one record from JSON against the resources, atoms and controls already loaded.
#pragma once

#include "isa/database.h"
#include "isa/json_reader.h"

namespace trapline::isa {

/// Reads the record at `cursor`; errors are noted in the cursor's list and the record is then partial.
Record read_record(const JsonCursor& cursor, const Database& database, const std::string& family);

}  // namespace trapline::isa
