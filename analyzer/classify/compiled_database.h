// SPDX-License-Identifier: Apache-2.0
// The database that the build compiled in, ready-made: its records, and the tags that `derive` gave each of them under each profile.
// What is read from a folder instead (--isa) is loaded and derived anew.
#pragma once

#include <optional>
#include <string_view>

#include "classify/tags.h"

namespace trapline::classify {

/// Gives the database of isa-specs/ as it was when the program was built, indexed (isa/snapshot.h).
isa::Database compiled_database();

/// Gives what derive_all gave when the program was built; nothing for another version of the database or an unknown profile.
std::optional<TagsByRecord> compiled_tags(std::string_view version, std::string_view profile);

}  // namespace trapline::classify
