// SPDX-License-Identifier: Apache-2.0
// Finds code by address over all sections under scan.
#pragma once

#include <vector>

#include "scan/section_code.h"

namespace trapline::scan {

/// One byte of code under scan.
struct CodePlace {
    std::size_t section = 0;  ///< index into the SectionCode vector, not the image's index
    std::uint64_t offset = 0;
    friend constexpr auto operator<=>(const CodePlace&, const CodePlace&) = default;
};

/// Looks addresses up. Where hostile sections overlap, the one that starts last at or before the address answers.
class CodePlaces {
public:
    CodePlaces(const image::Image& image, const std::vector<SectionCode>& sections);

    /// The place of a linear address. Nothing for gaps, for sections not under scan, and always for a relocatable image,
    /// in which an address alone does not name a section.
    std::optional<CodePlace> find(VirtAddr address) const;
    /// The place of an address of one section, by the image's section index.
    std::optional<CodePlace> find_in(image::SectionIndex section, VirtAddr address) const;

private:
    struct Range {
        std::uint64_t begin = 0;
        std::size_t section = 0;
    };
    const std::vector<SectionCode>* sections_;
    bool relocatable_;
    std::vector<Range> by_address_;
    std::vector<std::size_t> by_index_;  ///< for each section of the image, kNone for those not under scan
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
};

}  // namespace trapline::scan
