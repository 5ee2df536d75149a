// SPDX-License-Identifier: Apache-2.0
// Unit headers, the abbreviation of the unit's entry, and two of its attributes (DWARF 5, section 7.5).
#include "image/compile_directories.h"

#include <algorithm>
#include <llvm/BinaryFormat/Dwarf.h>
#include <optional>

namespace trapline::image {
namespace {

// A kernel has about 5,000 units. The limit is for files of units that are headers only.
constexpr std::size_t kMaxUnits = 1u << 20;
// Units may share abbreviations, and each looks for its own from the start. Real files read each table about once.
constexpr std::uint64_t kAbbrevBudget = std::uint64_t{64} << 20;

struct Attribute {
    std::uint64_t name, form;
};

// Finds the attributes that an entry of `code` has. Abbreviations before it are stepped over: GCC numbers them by use, so
// the unit's own is rarely the first.
std::optional<std::vector<Attribute>> find_abbreviation(Bytes abbrev, std::uint64_t offset, std::uint64_t code, std::uint64_t& budget) {
    DwarfCursor cursor(abbrev, offset);
    for (;;) {
        const std::uint64_t begin = cursor.offset();
        const std::uint64_t own_code = cursor.uleb();
        if (own_code == 0) return std::nullopt;  // the table's end, or the section's
        cursor.uleb();                           // DW_TAG_*
        cursor.get<std::uint8_t>();              // DW_CHILDREN_*
        std::vector<Attribute> attributes;
        for (;;) {
            const Attribute attribute{cursor.uleb(), cursor.uleb()};
            if (cursor.failed()) return std::nullopt;
            if (attribute.form == llvm::dwarf::DW_FORM_implicit_const) cursor.sleb();
            if (attribute.name == 0 && attribute.form == 0) break;
            if (own_code == code) attributes.push_back(attribute);
        }
        const std::uint64_t bytes = cursor.offset() - begin;
        if (bytes > budget) {
            budget = 0;
            return std::nullopt;
        }
        budget -= bytes;
        if (own_code == code) return attributes;
    }
}

struct UnitDirectory {
    std::uint64_t line_table;
    std::string_view directory;
};

std::optional<UnitDirectory> read_unit(const CompileUnitSections& sections, const DwarfUnitBounds& bounds, std::uint64_t& budget) {
    using namespace llvm::dwarf;
    const Bytes unit = sections.info.first(bounds.end);
    DwarfCursor cursor(unit, bounds.contents);
    DwarfEncoding encoding{cursor.get<std::uint16_t>(), sections.address_size, bounds.is_64};
    std::uint64_t abbreviations = 0;
    if (encoding.version >= 2 && encoding.version <= 4) {
        abbreviations = cursor.word(bounds.is_64);
        encoding.address_size = cursor.get<std::uint8_t>();
    } else if (encoding.version == 5) {
        const std::uint8_t type = cursor.get<std::uint8_t>();
        encoding.address_size = cursor.get<std::uint8_t>();
        abbreviations = cursor.word(bounds.is_64);
        if (type == DW_UT_skeleton || type == DW_UT_split_compile) cursor.skip(8);
        else if (type != DW_UT_compile && type != DW_UT_partial) return std::nullopt;
    } else {
        return std::nullopt;
    }
    const std::uint64_t code = cursor.uleb();
    if (cursor.failed() || code == 0) return std::nullopt;
    const auto attributes = find_abbreviation(sections.abbrev, abbreviations, code, budget);
    if (!attributes) return std::nullopt;

    DwarfStringSections strings = sections.strings;
    strings.here = unit;
    std::optional<std::uint64_t> line_table;
    DwarfString directory;
    for (const Attribute& attribute : *attributes) {
        if (attribute.name == DW_AT_comp_dir) {
            if (!read_string_form(cursor, attribute.form, encoding, directory)) return std::nullopt;
        } else if (attribute.name == DW_AT_stmt_list && (attribute.form == DW_FORM_sec_offset || attribute.form == DW_FORM_data4 ||
                                                         attribute.form == DW_FORM_data8)) {
            line_table = cursor.word(attribute.form == DW_FORM_data8 || (attribute.form == DW_FORM_sec_offset && bounds.is_64));
        } else if (!skip_form(cursor, attribute.form, encoding)) {
            break;  // what stands behind it is lost; what was read is not
        }
    }
    if (cursor.failed() || !line_table) return std::nullopt;
    const std::string_view text = text_of(directory, strings);
    if (text.empty()) return std::nullopt;
    return UnitDirectory{*line_table, text};
}

}  // namespace

CompileDirectories::CompileDirectories(const CompileUnitSections& sections) {
    std::uint64_t budget = kAbbrevBudget + 2 * sections.abbrev.size();
    std::uint64_t at = 0;
    for (std::size_t units = 0; units < kMaxUnits && at < sections.info.size(); ++units) {
        const auto bounds = read_unit_bounds(sections.info, at);
        if (!bounds) break;
        if (const auto unit = read_unit(sections, *bounds, budget)) directories_.emplace_back(unit->line_table, unit->directory);
        at = bounds->end;
    }
    std::stable_sort(directories_.begin(), directories_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

std::string_view CompileDirectories::of_line_table(std::uint64_t offset) const {
    const auto found = std::partition_point(directories_.begin(), directories_.end(), [&](const auto& d) { return d.first < offset; });
    if (found == directories_.end() || found->first != offset) return {};
    return found->second;
}

}  // namespace trapline::image
