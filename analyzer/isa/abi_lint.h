// SPDX-License-Identifier: Apache-2.0
// Checks of the hypercall interfaces against the records and against themselves. That templates assemble is checked where
// there is an assembler: tests/unit/decode/abi_templates_test.cpp.
#pragma once

#include <vector>

#include "isa/database.h"

namespace trapline::isa {

/// Checks that every operation of the records stands in every interface once, that forms and placeholders exist, that
/// numbers name one call each (in an interface with templates: one operation each), that fields do not overlap and that
/// areas are page-aligned and disjoint. Gives all errors at once.
std::vector<Error> lint_abis(const Database& database);

}  // namespace trapline::isa
