// SPDX-License-Identifier: Apache-2.0
// The contents of one .debug_* section as a debugger would see them: decompressed and, in a relocatable file, relocated.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/elf_reader.h"

namespace trapline::image {

/// One debug section. Its bytes point into the file, or into `owned` where they had to be changed.
struct DebugSection {
    /// A field that a relocation makes the address of something: of which ELF section.
    struct Field {
        std::uint64_t offset = 0;
        std::uint32_t section = 0;
    };

    DebugSection() = default;
    DebugSection(DebugSection&&) = default;  // not copied: `bytes` would point into the other's `owned`
    DebugSection& operator=(DebugSection&&) = default;

    Bytes bytes;
    std::vector<std::uint8_t> owned;
    std::vector<Field> fields;  ///< sorted by offset; only in a relocatable file

    /// The ELF section that the address at `offset` belongs to; nothing when no relocation says so.
    std::optional<std::uint32_t> section_of(std::uint64_t offset) const;
};

/// Loads the first section of that name; an empty one when there is none that holds bytes. `budget` is what may still be
/// decompressed for this file, in bytes, and is lowered by what was. Fails with `refused` when the section wants more,
/// `malformed` when compression or relocations are broken, `unsupported` for another compression than zlib and Zstandard.
/// `file` is the name used in errors. Memory: the section twice over where it is relocated, once where it is compressed.
Result<DebugSection> load_debug_section(Bytes bytes, const ElfFile& elf, std::string_view name, std::uint64_t& budget,
                                        const std::string& file);

}  // namespace trapline::image
