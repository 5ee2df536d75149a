// SPDX-License-Identifier: Apache-2.0
// What `trapline verify-isa` found, and its two renderings.
#pragma once

#include <string>
#include <vector>

#include "executor/verify/examples.h"
#include "executor/verify/slots.h"
#include "executor/verify/umip.h"

namespace trapline::cli {

/// One run of the command.
struct IsaVerification {
    std::string database_version;
    executor::Host host;
    executor::NurseryAbilities abilities;
    std::vector<executor::UmipTiming> umip;
    std::vector<executor::CheckedExample> examples;
    std::vector<executor::CheckedMap> maps;
    std::size_t experiments = 0;
    std::vector<std::string> unused_rows;  ///< rows of cpu-differences.json that apply here and explained nothing

    /// Says whether anything is left unexplained.
    bool has_findings() const;
};

/// Renders for people: counts by agreement and reason, then whatever is unexplained, one line each.
std::string verification_text(const IsaVerification& verification);
/// Renders the document trapline.verify-isa/1 (reports/schema/verify-isa.json).
std::string verification_json(const IsaVerification& verification);

}  // namespace trapline::cli
