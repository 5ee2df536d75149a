// SPDX-License-Identifier: Apache-2.0
// Which forms are findings under a profile: one table look-up for each decoded instruction.
#pragma once

#include <array>
#include <vector>

#include "classify/tags.h"

namespace trapline::scan {

/// Says whether a form is sensitive, or privileged or conditionally so, in a mode. A form that merely exits from a
/// guest, or whose tags are all "no", is not a finding.
class FlaggedForms {
public:
    FlaggedForms(const isa::Database& database, const classify::TagTable& tags);
    /// `record` must be one of the database's, or null for a form it does not list.
    bool contains(const isa::Record* record, Mode mode) const {
        return record != nullptr && flagged_[static_cast<std::size_t>(record - records_)][static_cast<std::size_t>(mode)];
    }

private:
    const isa::Record* records_;
    std::vector<std::array<bool, kAllModes.size()>> flagged_;
};

}  // namespace trapline::scan
