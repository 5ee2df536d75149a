// SPDX-License-Identifier: Apache-2.0
// The section table of the PE header that an EFI-stub kernel carries in its boot sector. Not a PE reader: only what
// says where the stub's parts are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/bytes.h"

namespace trapline::image {

struct PeSection {
    std::string name;
    std::uint64_t address = 0;      ///< RVA
    std::uint64_t file_offset = 0, file_size = 0;
};

struct PeSections {
    std::uint64_t header_offset = 0;  ///< of "PE\0\0"
    std::uint64_t entry_offset = 0;   ///< AddressOfEntryPoint as a file offset; 0 when no section holds it
    std::vector<PeSection> sections;

    const PeSection* find(std::string_view name) const;
};

/// Reads the header; nothing when there is none or it leaves the file.
std::optional<PeSections> read_pe_sections(ByteView view);

}  // namespace trapline::image
