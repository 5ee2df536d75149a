// SPDX-License-Identifier: Apache-2.0
// Which bytes of the image a plan has taken already.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "scan/code_places.h"

namespace trapline::patch {

/// Disjoint claimed ranges, each owned by a patch.
class Room {
public:
    /// Says whether no byte of [begin, end) is claimed.
    bool is_free(scan::CodePlace begin, std::uint64_t end) const { return !find_owner(begin, end); }
    /// The owner of the first claimed range that shares a byte with [begin, end); nothing when it is free.
    std::optional<std::uint32_t> find_owner(scan::CodePlace begin, std::uint64_t end) const;
    /// Claims a free, non-empty range.
    void claim(scan::CodePlace begin, std::uint64_t end, std::uint32_t owner);
    /// Gives back all ranges of an owner.
    void release(std::uint32_t owner);

private:
    struct Claim {
        std::uint64_t end = 0;
        std::uint32_t owner = 0;
    };
    std::map<scan::CodePlace, Claim> claims_;
    std::multimap<std::uint32_t, scan::CodePlace> by_owner_;
};

}  // namespace trapline::patch
