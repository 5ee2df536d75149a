// SPDX-License-Identifier: Apache-2.0
// Kallsyms found while the rest of a kernel still expands.
#pragma once

#include <memory>
#include <vector>

#include "image/expanding_bytes.h"
#include "image/image.h"
#include "image/kallsyms.h"

namespace trapline::image {

/// What was found in a segment, before it was known which sections it has.
struct EarlyKallsyms {
    Kallsyms found;                    ///< offsets are those in the segment
    std::uint64_t searched_from = 0;   ///< where the segment begins in the file
    std::vector<AddressRange> mapped;  ///< the addresses that symbols were believed to have

    /// Says whether a search of the section alone, with these addresses, finds just this: the first tables of the segment
    /// that are kallsyms lie in the section as a whole, and both are looked at in the same steps.
    bool holds_for(const Section& section, const std::vector<AddressRange>& addresses) const;
};

/// Searches the first executable segment of an ELF kernel when all of it has come; linkers put .rodata there. Null when that
/// never happens, or there are none.
std::shared_ptr<const EarlyKallsyms> find_early_kallsyms(const ExpandingBytes& file);

}  // namespace trapline::image
