// SPDX-License-Identifier: Apache-2.0
// Validation of rendered documents against reports/schema/, with valijson.
#pragma once

#include <string>

namespace trapline::tests {

/// Gives every fault of `document` against reports/schema/<schema>.json, one to a line; empty when it is valid.
std::string schema_faults(const std::string& schema, const std::string& document);

}  // namespace trapline::tests
