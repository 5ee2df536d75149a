// SPDX-License-Identifier: Apache-2.0
// What the kernel's tables say about the bytes of a finding.
#pragma once

#include <vector>

#include "image/image.h"
#include "scan/finding.h"

namespace trapline::scan {

/// Answers for one image, in O(log tables) for tables as kernels have them.
class TableContext {
public:
    /// Ranges longer than kMaxSpan are left out: an alternative is at most 255 bytes long, so they are no kernel's.
    explicit TableContext(const image::Image& image);

    /// Gives what bears on [begin, end) of a section, in table order and without repeats, at most kMaxEntries:
    /// {"alternative-replacement", "for 0xffffffff81000123, feature 9*32+20"}, {"exception-table", "fixup 0x..."},
    /// {"jump-label", "target 0x..."}, and {"init", ""} for a section named .init.*.
    std::vector<FindingContext> at(image::SectionIndex section, VirtAddr begin, VirtAddr end) const;

    /// Where the instruction at an address runs: for the bytes of an alternative's replacement the place they are copied to,
    /// else the address itself.
    struct Place {
        image::SectionIndex section = 0;
        VirtAddr address;
    };
    Place runs_at(image::SectionIndex section, VirtAddr address) const;

    static constexpr std::uint64_t kMaxSpan = 4096;
    static constexpr std::size_t kMaxEntries = 16;

private:
    const image::Image* image_;
    std::vector<const image::TableEntry*> entries_;  ///< sorted by section, begin
};

}  // namespace trapline::scan
