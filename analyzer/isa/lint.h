// SPDX-License-Identifier: Apache-2.0
// Checks of the database that go beyond loading it. Decoders check the examples elsewhere (decode/examples.h).
#pragma once

#include <vector>

#include "isa/database.h"
#include "isa/loader.h"

namespace trapline::isa {

/// Checks ids (recomputed, unique, never a retired one), slots (no two records match the same bytes under the same
/// generation and vendor), gates named by feature faults, advice on sensitive effects, the hypercall interfaces
/// (abi_lint.h), and the canonical layout of every file. Gives all errors at once.
std::vector<Error> lint(const Database& database, const std::vector<SpecFile>& files);

/// Checks every file against the JSON Schema in isa-specs/schema/ that its "schema" key names.
std::vector<Error> check_schemas(const std::vector<SpecFile>& files);

}  // namespace trapline::isa
