// SPDX-License-Identifier: Apache-2.0
#include "classify/compiled_database.h"

namespace trapline::classify {

TagTable::TagTable(const isa::Database& database, const isa::Profile& profile) : database_(&database), profile_(&profile) {
    auto compiled = compiled_tags(database.version, profile.id);
    tags_ = compiled ? std::move(*compiled) : derive_all(database, profile);
}

const Tags& TagTable::at(const isa::Record& record, Mode mode) const {
    const auto index = static_cast<std::size_t>(&record - database_->records.data());
    TRAPLINE_ASSERT(index < tags_.size(), "asked for the tags of a record of another database");
    return tags_[index][static_cast<std::size_t>(mode)];
}

}  // namespace trapline::classify
