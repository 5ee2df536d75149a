// SPDX-License-Identifier: Apache-2.0
#include "classify/compiled_database.h"

#include "classify/tag_snapshot.h"
#include "isa/snapshot.h"

extern "C" {
#include "embedded_snapshots_declarations.inc"
}

namespace trapline::classify {
namespace {

std::string_view find_snapshot(std::string_view name) {
    struct Row {
        std::string_view name;
        const char* begin;
        const char* end;
    };
    static constexpr Row kRows[] = {
#include "embedded_snapshots.inc"
    };
    for (const Row& row : kRows)
        if (row.name == name) return {row.begin, static_cast<std::size_t>(row.end - row.begin)};
    return {};
}

}  // namespace

isa::Database compiled_database() { return isa::read_snapshot(find_snapshot("database.snapshot")); }

std::optional<TagsByRecord> compiled_tags(std::string_view version, std::string_view profile) {
    return read_tag_snapshot(find_snapshot("tags.snapshot"), version, profile);
}

}  // namespace trapline::classify
