// SPDX-License-Identifier: Apache-2.0
// Evaluates the rule for what is a finding once for each record and mode.
#include "scan/flagged_forms.h"

#include "decode/form_index.h"
#include "scan/control_flow.h"

namespace trapline::scan {

FlaggedForms::FlaggedForms(const isa::Database& database, const classify::TagTable& tags) : modes_(decode::form_count(database)), transfers_(decode::form_count(database)) {
    for (std::size_t i = 0; i < database.records.size(); ++i) {
        const isa::Record& record = database.records[i];
        transfers_[i + 1] = may_transfer_control(record.encoding.map, record.encoding.opcode);
        for (Mode mode : kAllModes) {
            if (!record.encoding.modes.contains(mode)) continue;
            const classify::Tags& derived = tags.at(record, mode);
            if (derived.sensitive() || derived.privileged != classify::Privileged::no) modes_[i + 1].insert(mode);
        }
    }
    std::size_t form = database.records.size() + 1;
    for (const isa::InnocuousForm& innocuous : database.innocuous) {
        for (const isa::Encoding& encoding : innocuous.encodings)
            if (may_transfer_control(encoding.map, encoding.opcode)) transfers_[form] = 1;
        ++form;
    }
}

}  // namespace trapline::scan
