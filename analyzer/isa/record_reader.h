// SPDX-License-Identifier: Apache-2.0
// Reads one record from JSON against the resources, atoms and controls already loaded.
#pragma once

#include "isa/database.h"
#include "isa/json_reader.h"

namespace trapline::isa {

/// Reads the record at `cursor`; errors are noted in the cursor's list and the record is then partial.
Record read_record(const JsonCursor& cursor, const Database& database, const std::string& family);

/// Reads the sources of a record or of an innocuous family.
std::vector<Source> read_sources(const JsonCursor& cursor);

/// Reads an innocuous form that takes from `family` what it does not say itself.
InnocuousForm read_innocuous_form(const JsonCursor& cursor, const InnocuousForm& family);
/// Reads "feature", "vendor", "since" and "until" of a form or a family into `form`.
void read_provenance(const JsonCursor& cursor, InnocuousForm& form);

}  // namespace trapline::isa
