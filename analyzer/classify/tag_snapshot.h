// SPDX-License-Identifier: Apache-2.0
// The derived tags of all profiles as the build writes them down for the program.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "classify/tags.h"

namespace trapline::classify {

/// Derives the tags of every record under every profile and writes them down.
std::string write_tag_snapshot(const isa::Database& database);

/// Finds the tags of a profile in what write_tag_snapshot wrote; nothing for another version of the database or an unknown profile.
std::optional<TagsByRecord> read_tag_snapshot(std::string_view bytes, std::string_view version, std::string_view profile);

}  // namespace trapline::classify
