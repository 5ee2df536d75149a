// SPDX-License-Identifier: Apache-2.0
// Which forms are findings under a profile: one table look-up for each decoded instruction.
#pragma once

#include <vector>

#include "classify/tags.h"
#include "decode/form_tables.h"

namespace trapline::scan {

/// Says whether a form is sensitive, or privileged or conditionally so, in a mode. A form that merely exits from a
/// guest, or whose tags are all "no", is not a finding.
class FlaggedForms {
public:
    FlaggedForms(const isa::Database& database, const classify::TagTable& tags);
    bool contains(decode::FormIndex form, Mode mode) const { return modes_[form].contains(mode); }
    /// Says whether control may go elsewhere than to the next instruction; false is certain.
    bool may_transfer(decode::FormIndex form) const { return transfers_[form] != 0; }

private:
    std::vector<ModeSet> modes_;  ///< by form
    std::vector<std::uint8_t> transfers_;  ///< by form
};

}  // namespace trapline::scan
