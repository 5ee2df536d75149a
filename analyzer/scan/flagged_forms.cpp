// SPDX-License-Identifier: Apache-2.0
// Evaluates the rule for what is a finding once for each record and mode.
#include "scan/flagged_forms.h"

namespace trapline::scan {

FlaggedForms::FlaggedForms(const isa::Database& database, const classify::TagTable& tags)
    : records_(database.records.data()), flagged_(database.records.size()) {
    for (std::size_t i = 0; i < database.records.size(); ++i) {
        const isa::Record& record = database.records[i];
        for (Mode mode : kAllModes) {
            if (!record.encoding.modes.contains(mode)) continue;
            const classify::Tags& derived = tags.at(record, mode);
            flagged_[i][static_cast<std::size_t>(mode)] =
                derived.sensitive() || derived.privileged != classify::Privileged::no;
        }
    }
}

}  // namespace trapline::scan
