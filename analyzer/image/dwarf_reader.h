// SPDX-License-Identifier: Apache-2.0
// Reads the elementary encodings of DWARF (DWARF 5, section 7) from hostile bytes: integers, LEB128, strings, forms.
#pragma once

#include <cstdint>
#include <string_view>

#include "support/bytes.h"

namespace trapline::image {

/// What the header of a unit says about the encodings inside it.
struct DwarfEncoding {
    std::uint16_t version = 0;
    std::uint8_t address_size = 0;  ///< bytes; 4 or 8
    bool is_64 = false;             ///< the 64-bit DWARF format: offsets of eight bytes
};

/// Walks forward over bytes. A read that would pass the end gives 0 or "" and makes the cursor fail for good, so that a
/// caller may check once after a run of reads.
class DwarfCursor {
public:
    explicit DwarfCursor(Bytes bytes, std::uint64_t offset = 0) : view_(bytes), offset_(offset), failed_(offset > bytes.size()) {}

    bool failed() const { return failed_; }
    std::uint64_t offset() const { return offset_; }
    std::uint64_t remaining() const { return failed_ ? 0 : view_.size() - offset_; }

    template <class T>
    T get() {
        const auto value = failed_ ? std::nullopt : view_.get<T>(offset_);
        if (!value) return fail(T{});
        offset_ += sizeof(T);
        return *value;
    }
    /// Reads an unsigned integer of 4 or 8 bytes.
    std::uint64_t word(bool eight) { return eight ? get<std::uint64_t>() : get<std::uint32_t>(); }
    /// Reads an LEB128 number; bits above the 64th are dropped.
    std::uint64_t uleb();
    std::int64_t sleb();
    /// Reads a NUL-terminated string.
    std::string_view c_string();
    void skip(std::uint64_t bytes);

private:
    template <class T>
    T fail(T value) {
        failed_ = true;
        return value;
    }

    ByteView view_;
    std::uint64_t offset_;
    bool failed_;
};

/// The bounds of a unit, which any of its sections begins with: a length of 4 bytes, or ffffffff and one of 8.
struct DwarfUnitBounds {
    std::uint64_t begin = 0;     ///< where the length stands
    std::uint64_t contents = 0;  ///< behind the length
    std::uint64_t end = 0;       ///< where the next unit begins
    bool is_64 = false;
};
/// Reads the length at `offset`; nothing when the unit would pass the end of the section.
std::optional<DwarfUnitBounds> read_unit_bounds(Bytes section, std::uint64_t offset);

/// Skips a value of a form (DW_FORM_*). False for forms of which the size is not known here; the cursor then stands still.
bool skip_form(DwarfCursor& cursor, std::uint64_t form, const DwarfEncoding& encoding);

/// Where a string's bytes are. DW_FORM_strx is not among them: it needs the unit's own offset table.
enum class DwarfStrings : std::uint8_t { here, str, line_str };
struct DwarfString {
    DwarfStrings section = DwarfStrings::here;
    std::uint64_t offset = 0;
    bool known = false;          ///< false for forms that hold no string of the three kinds
};
/// Reads a value of any form as skip_form does and says which string it is. False as skip_form.
bool read_string_form(DwarfCursor& cursor, std::uint64_t form, const DwarfEncoding& encoding, DwarfString& string);

/// The sections that strings are in; `here` is the one that is being read.
struct DwarfStringSections {
    Bytes here, str, line_str;
};
/// Finds the text of a string; empty when it does not end inside its section or is longer than 4096 bytes, which is the
/// longest path Linux knows: strings may share bytes, so a small file could ask for many huge ones.
std::string_view text_of(const DwarfString& string, const DwarfStringSections& sections);

}  // namespace trapline::image
