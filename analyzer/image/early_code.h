// SPDX-License-Identifier: Apache-2.0
// Where code lies in an ELF file of which only the beginning is there yet.
#pragma once

#include <optional>
#include <vector>

#include "image/image.h"

namespace trapline::image {

/// What the program headers say is executable, as ranges of the file. Data may lie among it: sections are known last.
struct EarlyCode {
    CodeWidth width = CodeWidth::bits64;
    struct Range {
        std::uint64_t begin = 0, end = 0;
    };
    std::vector<Range> ranges;  ///< sorted, apart from each other; the file may be shorter
    std::vector<AddressRange> mapped;  ///< addresses of all segments, sorted and joined
};

/// Reads the program headers of an x86 ELF file from its first bytes. Nothing when they are not among them, or name no code.
std::optional<EarlyCode> read_early_code(Bytes head);

}  // namespace trapline::image
