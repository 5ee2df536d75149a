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

int effective_operand_size(const Encoding& encoding, const EncodingKey& key) {
    // SDM volume 1, 3.6.1 and volume 2, 2.2.1: the default, the 66 prefix and REX.W; a 66 that selects the form
    // (mandatory prefix) does not change the operand size.
    const bool mandatory_66 = (encoding.prefix.bits & PrefixSet::np) == 0 && (encoding.prefix.bits & PrefixSet::p66) != 0;
    const bool size_prefix = key.has_66 && !mandatory_66;
    if (key.mode != Mode::long64) return (width_bits(key.mode) == 32) != size_prefix ? 32 : 16;
    if (encoding.osize64 == OperandSize64::forced64) return 64;
    if (key.w) return 64;
    if (size_prefix) return 16;
    return encoding.osize64 == OperandSize64::default64 ? 64 : 32;
}

bool matches(const Encoding& encoding, const EncodingKey& key) {
    if (!encoding.modes.contains(key.mode)) return false;
    if ((encoding.prefix.bits & key.prefix) == 0) return false;
    if (encoding.has_modrm) {
        if (!key.has_modrm) return false;
        const bool is_register = key.mod == 3;
        if (encoding.mod == ModRequirement::memory && is_register) return false;
        if (encoding.mod == ModRequirement::reg && !is_register) return false;
        // An extended ModRM.reg matters only to records that name registers above 7 (CR8): opcode extensions ignore REX.R.
        const int reg = (encoding.reg_mask & 0xFF00) != 0 || encoding.mod == ModRequirement::ignored ? key.reg : key.reg & 7;
        if ((encoding.reg_mask >> reg & 1) == 0) return false;
        if ((encoding.rm_mask >> key.rm & 1) == 0) return false;
    }
    if (encoding.w && *encoding.w != key.w) return false;
    if (encoding.l && *encoding.l != key.l) return false;
    if (encoding.vvvv_unused && key.vvvv != 0xF) return false;
    if (encoding.requires_lock && !key.lock) return false;
    if (encoding.asize != 0 && encoding.asize != key.asize) return false;
    return encoding.osize == 0 || encoding.osize == effective_operand_size(encoding, key);
}

bool exists_in(const Record& record, const Profile& profile) {
    if (profile.era < record.since || record.until < profile.era) return false;
    return record.vendor.empty() || std::find(profile.vendors.begin(), profile.vendors.end(), record.vendor) != profile.vendors.end();
}

}  // namespace trapline::isa
