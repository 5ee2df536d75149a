// SPDX-License-Identifier: Apache-2.0
// The encodings of DWARF 5, section 7. Earlier versions use a subset of the forms.
#include "image/dwarf_reader.h"

#include <algorithm>
#include <llvm/BinaryFormat/Dwarf.h>

namespace trapline::image {

std::uint64_t DwarfCursor::uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        const std::uint8_t byte = get<std::uint8_t>();
        if (failed_) return 0;
        if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
        if (!(byte & 0x80)) return value;
        if (shift >= 64) shift = 64;  // padding may go on as long as it likes
    }
}

std::int64_t DwarfCursor::sleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        const std::uint8_t byte = get<std::uint8_t>();
        if (failed_) return 0;
        if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            if ((byte & 0x40) && shift + 7 < 64) value |= ~std::uint64_t{0} << (shift + 7);
            return static_cast<std::int64_t>(value);
        }
        if (shift >= 64) shift = 64;
    }
}

std::string_view DwarfCursor::c_string() {
    const auto text = failed_ ? std::nullopt : view_.c_string(offset_);
    if (!text) return fail(std::string_view());
    offset_ += text->size() + 1;
    return *text;
}

void DwarfCursor::skip(std::uint64_t bytes) {
    if (bytes > remaining())
        failed_ = true;
    else
        offset_ += bytes;
}

std::optional<DwarfUnitBounds> read_unit_bounds(Bytes section, std::uint64_t offset) {
    DwarfCursor cursor(section, offset);
    DwarfUnitBounds bounds{offset, 0, 0, false};
    std::uint64_t length = cursor.get<std::uint32_t>();
    if (length == llvm::dwarf::DW_LENGTH_DWARF64) {
        bounds.is_64 = true;
        length = cursor.get<std::uint64_t>();
    }
    if (cursor.failed() || length > cursor.remaining()) return std::nullopt;
    bounds.contents = cursor.offset();
    bounds.end = bounds.contents + length;
    return bounds;
}

bool skip_form(DwarfCursor& cursor, std::uint64_t form, const DwarfEncoding& encoding) {
    using namespace llvm::dwarf;
    switch (form) {
        case DW_FORM_flag_present:
        case DW_FORM_implicit_const:
            return true;
        case DW_FORM_data1: case DW_FORM_ref1: case DW_FORM_flag: case DW_FORM_strx1: case DW_FORM_addrx1:
            cursor.skip(1);
            return true;
        case DW_FORM_data2: case DW_FORM_ref2: case DW_FORM_strx2: case DW_FORM_addrx2:
            cursor.skip(2);
            return true;
        case DW_FORM_strx3: case DW_FORM_addrx3:
            cursor.skip(3);
            return true;
        case DW_FORM_data4: case DW_FORM_ref4: case DW_FORM_ref_sup4: case DW_FORM_strx4: case DW_FORM_addrx4:
            cursor.skip(4);
            return true;
        case DW_FORM_data8: case DW_FORM_ref8: case DW_FORM_ref_sup8: case DW_FORM_ref_sig8:
            cursor.skip(8);
            return true;
        case DW_FORM_data16:
            cursor.skip(16);
            return true;
        case DW_FORM_addr:
            cursor.skip(encoding.address_size);
            return true;
        case DW_FORM_ref_addr:  // DWARF 2 gave it the size of an address
            cursor.skip(encoding.version <= 2 ? encoding.address_size : encoding.is_64 ? 8 : 4);
            return true;
        case DW_FORM_sec_offset: case DW_FORM_strp: case DW_FORM_line_strp: case DW_FORM_strp_sup:
        case DW_FORM_GNU_ref_alt: case DW_FORM_GNU_strp_alt:
            cursor.skip(encoding.is_64 ? 8 : 4);
            return true;
        case DW_FORM_udata: case DW_FORM_sdata: case DW_FORM_ref_udata: case DW_FORM_strx: case DW_FORM_addrx:
        case DW_FORM_loclistx: case DW_FORM_rnglistx: case DW_FORM_GNU_addr_index: case DW_FORM_GNU_str_index:
            cursor.uleb();
            return true;
        case DW_FORM_block1:
            cursor.skip(cursor.get<std::uint8_t>());
            return true;
        case DW_FORM_block2:
            cursor.skip(cursor.get<std::uint16_t>());
            return true;
        case DW_FORM_block4:
            cursor.skip(cursor.get<std::uint32_t>());
            return true;
        case DW_FORM_block: case DW_FORM_exprloc:
            cursor.skip(cursor.uleb());
            return true;
        case DW_FORM_string:
            cursor.c_string();
            return true;
        default:  // the forms are the file's, not ours
            return false;
    }
}

bool read_string_form(DwarfCursor& cursor, std::uint64_t form, const DwarfEncoding& encoding, DwarfString& string) {
    string = {};
    if (form == llvm::dwarf::DW_FORM_string) {
        string = {DwarfStrings::here, cursor.offset(), true};
        return skip_form(cursor, form, encoding);
    }
    if (form != llvm::dwarf::DW_FORM_strp && form != llvm::dwarf::DW_FORM_line_strp) return skip_form(cursor, form, encoding);
    const DwarfStrings section = form == llvm::dwarf::DW_FORM_strp ? DwarfStrings::str : DwarfStrings::line_str;
    string = {section, cursor.word(encoding.is_64), true};
    return true;
}

std::string_view text_of(const DwarfString& string, const DwarfStringSections& sections) {
    constexpr std::uint64_t kMaxText = 4096;
    if (!string.known) return {};
    Bytes bytes;
    switch (string.section) {
        case DwarfStrings::here: bytes = sections.here; break;
        case DwarfStrings::str: bytes = sections.str; break;
        case DwarfStrings::line_str: bytes = sections.line_str; break;
    }
    if (string.offset >= bytes.size()) return {};
    const std::uint64_t most = std::min<std::uint64_t>(bytes.size() - string.offset, kMaxText + 1);
    return ByteView(bytes.subspan(string.offset, most)).c_string(0).value_or(std::string_view());
}

}  // namespace trapline::image
