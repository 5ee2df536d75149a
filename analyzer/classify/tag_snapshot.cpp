// SPDX-License-Identifier: Apache-2.0
#include "classify/tag_snapshot.h"

#include "isa/snapshot_archive.h"

namespace trapline::classify {

template <class Archive>
void members(Archive& archive, Tags& tags) {
    archive(tags.privileged, tags.token, tags.vmm_sets_token, tags.control_sensitive, tags.behavior, tags.user_sensitive, tags.executable, tags.overridden);
}

struct TagSnapshot {
    std::string version;                                          ///< of the database
    std::vector<std::pair<std::string, std::string>> by_profile;  ///< profile id; its TagsByRecord, a snapshot of its own
};

template <class Archive>
void members(Archive& archive, TagSnapshot& snapshot) {
    archive(snapshot.version, snapshot.by_profile);
}

std::string write_tag_snapshot(const isa::Database& database) {
    TagSnapshot snapshot{database.version, {}};
    for (const isa::Profile& profile : database.profiles) snapshot.by_profile.emplace_back(profile.id, isa::to_snapshot(derive_all(database, profile)));
    return isa::to_snapshot(snapshot);
}

std::optional<TagsByRecord> read_tag_snapshot(std::string_view bytes, std::string_view version, std::string_view profile) {
    const auto snapshot = isa::from_snapshot<TagSnapshot>(bytes);
    if (snapshot.version != version) return std::nullopt;
    for (const auto& [id, tags] : snapshot.by_profile)
        if (id == profile) return isa::from_snapshot<TagsByRecord>(tags);
    return std::nullopt;
}

}  // namespace trapline::classify
