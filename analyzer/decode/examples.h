// SPDX-License-Identifier: Apache-2.0
// The decoders' part of the database lint.
#pragma once

#include <vector>

#include "isa/database.h"
#include "support/error.h"

namespace trapline::decode {

/// Decodes every example of every record under a profile in which the form exists: it must select its own record, end
/// with its last byte, and be confirmed by every witness that knows it. A witness that differs needs a row in
/// x86/decoder-differences.json, unless the form ended before current CPUs. Gives all errors at once, each with file and
/// JSON pointer.
std::vector<Error> check_examples(const isa::Database& database);

}  // namespace trapline::decode
