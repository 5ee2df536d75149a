// SPDX-License-Identifier: Apache-2.0
// What reports say of a scan beyond its document, computed from the database: the theorems, and the distance to a port.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "classify/tags.h"
#include "isa/database.h"
#include "patch/abi_distance.h"
#include "scan/finding.h"

namespace trapline::cli {

/// Comments on scans that were made under one profile with one database; both must outlive it.
class ScanCommentary {
public:
    ScanCommentary(const isa::Database& database, const classify::TagTable& tags) : database_(database), tags_(tags) {}

    /// The theorems for the modes that the image's code runs in, not for all that the profile has. Kept by modes, for a
    /// package has thousands of images.
    const std::string& verdict_of(const ScanDocument& scan);
    /// The distance to the interface that every report measures; nothing when the database has it no more.
    std::optional<AbiDistance> distance_of(const ScanDocument& scan) const;

private:
    const isa::Database& database_;
    const classify::TagTable& tags_;
    std::map<std::uint8_t, std::string> verdicts_;  // by the bits of a ModeSet
};

}  // namespace trapline::cli
