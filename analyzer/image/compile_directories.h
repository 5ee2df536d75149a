// SPDX-License-Identifier: Apache-2.0
// The directory that each unit of .debug_info was compiled in, by the line table that it names. Line tables before
// version 5 do not say to what their relative names are relative.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "image/dwarf_reader.h"

namespace trapline::image {

/// The sections that are read. They must outlive what is made of them; `strings.here` is not used.
struct CompileUnitSections {
    Bytes info, abbrev;
    DwarfStringSections strings;
    std::uint8_t address_size = 8;
};

/// Answers for one file. Immutable once made.
class CompileDirectories {
public:
    CompileDirectories() = default;
    /// Reads the first entry of each unit. What is broken or is not named by a string in place, .debug_str or
    /// .debug_line_str is left out. Time: linear in the units and in .debug_abbrev, within a budget.
    explicit CompileDirectories(const CompileUnitSections& sections);

    /// Gives the DW_AT_comp_dir of the unit whose DW_AT_stmt_list is this offset in .debug_line; empty when none says.
    std::string_view of_line_table(std::uint64_t offset) const;

private:
    std::vector<std::pair<std::uint64_t, std::string_view>> directories_;  ///< sorted by offset
};

}  // namespace trapline::image
