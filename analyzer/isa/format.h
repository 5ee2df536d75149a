// SPDX-License-Identifier: Apache-2.0
// The canonical layout of the database's files, so that a diff shows what changed and nothing else.
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"

namespace trapline::isa {

/// Lays a database file out canonically: keys in the order of isa-specs/README.md, two spaces of indent, a value on one
/// line where it fits in 120 columns, hex and modes as they are. Idempotent. Fails on text that is not JSON.
Result<std::string> format_spec(std::string_view path, std::string_view text);

}  // namespace trapline::isa
