// SPDX-License-Identifier: Apache-2.0
// Look-ups in the database and the rule by which an encoding selects its record.
#include "isa/database.h"

#include <algorithm>

namespace trapline::isa {

void Database::index() {
    slots_.assign(static_cast<std::size_t>(kOpcodeMapCount) * 256, {});
    by_id_.clear();
    for (RecordIndex i = 0; i < records.size(); ++i) {
        const Encoding& encoding = records[i].encoding;
        slots_[static_cast<std::size_t>(encoding.map) * 256 + encoding.opcode].push_back(i);
        by_id_.emplace(records[i].id, i);
    }
    // A form that needs LOCK (AMD's MOV CR8) outranks the one it would be without the prefix.
    for (auto& claimants : slots_)
        std::stable_partition(claimants.begin(), claimants.end(), [&](RecordIndex i) { return records[i].encoding.requires_lock; });
}

const Record* Database::find_record(std::string_view id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &records[found->second];
}

const Profile* Database::find_profile(std::string_view id) const {
    const auto found = std::find_if(profiles.begin(), profiles.end(), [&](const Profile& p) { return p.id == id; });
    return found == profiles.end() ? nullptr : &*found;
}

const Abi* Database::find_abi(std::string_view id) const {
    const auto found = std::find_if(abis.begin(), abis.end(), [&](const Abi& abi) { return abi.id == id; });
    return found == abis.end() ? nullptr : &*found;
}

std::optional<AtomIndex> Database::find_atom(std::string_view id) const {
    for (std::size_t i = 0; i < atoms.size(); ++i)
        if (atoms[i].id == id) return static_cast<AtomIndex>(i);
    return std::nullopt;
}

std::optional<ResourceIndex> Database::find_resource(std::string_view id) const {
    for (std::size_t i = 0; i < resources.size(); ++i)
        if (resources[i].id == id) return static_cast<ResourceIndex>(i);
    return std::nullopt;
}

const Record* Database::match(const EncodingKey& key, const Profile& profile) const {
    for (RecordIndex index : slot(key.map, key.opcode)) {
        const Record& record = records[index];
        if (matches(record.encoding, key) && exists_in(record, profile)) return &record;
    }
    return nullptr;
}

namespace {

template <class Form>
bool exists(const Form& form, const Profile& profile) {
    if (profile.era < form.since || form.until < profile.era) return false;
    return form.vendor.empty() || std::find(profile.vendors.begin(), profile.vendors.end(), form.vendor) != profile.vendors.end();
}

}  // namespace

bool exists_in(const Record& record, const Profile& profile) { return exists(record, profile); }
bool exists_in(const InnocuousForm& form, const Profile& profile) { return exists(form, profile); }

}  // namespace trapline::isa
