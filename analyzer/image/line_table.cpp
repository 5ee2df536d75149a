// SPDX-License-Identifier: Apache-2.0
// The line number information of DWARF 5, section 6.2, and of DWARF 2 to 4 where they differ.
//
// LLVM's DWARFDebugLine is not used: it believes the counts of a version 5 header, so that LLVM 19 runs out of memory on a
// table of 60 bytes whose entries have a format without bytes (DW_FORM_implicit_const), and it keeps every row.
#include "image/line_table.h"

#include <fmt/format.h>
#include <llvm/BinaryFormat/Dwarf.h>

namespace trapline::image {
namespace {

// Names in one list. A unit of a kernel has up to some 2,000 files.
constexpr std::uint64_t kMaxNames = 200'000;

tl::unexpected<Error> malformed(std::string message, std::uint64_t offset) {
    return fail(ErrorCode::malformed, fmt::format("at {:#x}: {}", offset, std::move(message)));
}

bool is_absolute(std::string_view path) {
    const bool drive = path.size() >= 3 && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
    return path.starts_with('/') || drive;
}

std::string joined(std::string_view directory, std::string_view path) {
    if (directory.empty() || is_absolute(path)) return std::string(path);
    return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", path);
}

// The registers of DWARF 5, 6.2.2 that bear on files and lines. op_index stays 0: it is for VLIW machines.
struct Row {
    std::uint64_t address = 0;
    std::uint64_t file = 1;
    std::uint32_t line = 1;
};

class LineProgram {
public:
    LineProgram(const LineTableHeader& header, const DebugSection& section, const std::function<void(const LineRange&)>& sink)
        : header_(header), section_(section), sink_(sink), cursor_(section.bytes.first(header.bounds.end), header.program),
          address_mask_(header.encoding.address_size == 4 ? 0xFFFFFFFFu : ~std::uint64_t{0}) {}

    Status run() {
        while (cursor_.remaining() != 0) {
            const std::uint64_t at = cursor_.offset();
            const std::uint8_t opcode = cursor_.get<std::uint8_t>();
            if (opcode >= header_.opcode_base) {
                if (header_.line_range == 0) return malformed("a special opcode, but the header's line_range is 0", at);
                const int adjusted = opcode - header_.opcode_base;
                advance(static_cast<std::uint64_t>(adjusted / header_.line_range));
                row_.line += static_cast<std::uint32_t>(header_.line_base + adjusted % header_.line_range);
                add_row();
            } else if (Status done = opcode == 0 ? extended(at) : standard(opcode, at); !done) {
                return done;
            }
            if (cursor_.failed()) return malformed(fmt::format("opcode {} runs past the table's end at {:#x}", opcode, header_.bounds.end), at);
        }
        return {};
    }

private:
    void advance(std::uint64_t operation) { row_.address = (row_.address + operation * header_.min_insn_length) & address_mask_; }

    // A row covers the bytes up to the next one; one that goes backwards, which the standard forbids, covers none.
    void add_row() {
        if (previous_ && row_.address > previous_->address)
            sink_({target_, previous_->address, row_.address, previous_->file, previous_->line});
        previous_ = row_;
    }

    Status standard(std::uint8_t opcode, std::uint64_t at) {
        using namespace llvm::dwarf;
        switch (opcode) {
            case DW_LNS_copy: add_row(); break;
            case DW_LNS_advance_pc: advance(cursor_.uleb()); break;
            case DW_LNS_advance_line: row_.line += static_cast<std::uint32_t>(cursor_.sleb()); break;
            case DW_LNS_set_file: row_.file = cursor_.uleb(); break;
            case DW_LNS_const_add_pc:
                if (header_.line_range == 0) return malformed("DW_LNS_const_add_pc, but the header's line_range is 0", at);
                advance(static_cast<std::uint64_t>((255 - header_.opcode_base) / header_.line_range));
                break;
            case DW_LNS_fixed_advance_pc: row_.address = (row_.address + cursor_.get<std::uint16_t>()) & address_mask_; break;
            default:  // Columns, statements, blocks, prologues, instruction sets, and what a later version may add.
                for (int i = header_.operand_counts[opcode - 1u]; i > 0 && !cursor_.failed(); --i) cursor_.uleb();
        }
        return {};
    }

    Status extended(std::uint64_t at) {
        const std::uint64_t length = cursor_.uleb();
        if (cursor_.failed() || length == 0) return malformed("an extended opcode without a length", at);
        if (length > cursor_.remaining())
            return malformed(fmt::format("an extended opcode of {} bytes, {} are left", length, cursor_.remaining()), at);
        const std::uint64_t end = cursor_.offset() + length;
        const std::uint8_t opcode = cursor_.get<std::uint8_t>();
        if (opcode == llvm::dwarf::DW_LNE_end_sequence) {
            add_row();
            row_ = {};
            previous_.reset();
            target_.reset();
        } else if (opcode == llvm::dwarf::DW_LNE_set_address) {
            if (length != 5 && length != 9) return malformed(fmt::format("DW_LNE_set_address of {} bytes, expected 4 or 8", length - 1), at);
            // Compilers that do without .loc set the address of every row. Only a row of another section ends before it.
            const auto target = section_.section_of(cursor_.offset());
            if (target != target_) previous_.reset();
            target_ = target;
            row_.address = cursor_.word(length == 9) & address_mask_;
        }
        cursor_.skip(end - cursor_.offset());
        return {};
    }

    const LineTableHeader& header_;
    const DebugSection& section_;
    const std::function<void(const LineRange&)>& sink_;
    DwarfCursor cursor_;
    std::uint64_t address_mask_;
    Row row_;
    std::optional<Row> previous_;
    std::optional<std::uint32_t> target_;
};

}  // namespace

Result<LineTableHeader> read_line_table_header(Bytes section, const DwarfUnitBounds& bounds, std::uint8_t address_size) {
    DwarfCursor cursor(section.first(bounds.end), bounds.contents);
    LineTableHeader header;
    header.bounds = bounds;
    header.encoding = {cursor.get<std::uint16_t>(), address_size, bounds.is_64};
    const std::uint16_t version = header.encoding.version;
    if (!cursor.failed() && (version < 2 || version > 5))
        return fail(ErrorCode::unsupported, fmt::format("at {:#x}: line table of version {}, expected 2 to 5", bounds.begin, version));
    if (version >= 5) {
        header.encoding.address_size = cursor.get<std::uint8_t>();
        const std::uint8_t selector = cursor.get<std::uint8_t>();
        if (!cursor.failed() && ((header.encoding.address_size != 4 && header.encoding.address_size != 8) || selector != 0))
            return malformed(fmt::format("addresses of {} bytes and segment selectors of {}, expected 4 or 8 and 0",
                                         header.encoding.address_size, selector), bounds.begin);
    }
    const std::uint64_t header_length = cursor.word(bounds.is_64);
    if (cursor.failed() || header_length > cursor.remaining())
        return malformed(fmt::format("a header of {} bytes in a table of {}", header_length, bounds.end - bounds.contents), bounds.begin);
    header.program = cursor.offset() + header_length;

    DwarfCursor fields(section.first(header.program), cursor.offset());
    header.min_insn_length = fields.get<std::uint8_t>();
    const std::uint8_t max_operations = version >= 4 ? fields.get<std::uint8_t>() : 1;
    fields.get<std::uint8_t>();  // default_is_stmt
    header.line_base = static_cast<std::int8_t>(fields.get<std::uint8_t>());
    header.line_range = fields.get<std::uint8_t>();
    header.opcode_base = fields.get<std::uint8_t>();
    if (!fields.failed() && (max_operations > 1 || header.opcode_base == 0))
        return malformed(fmt::format("{} operations in an instruction and opcode_base {}, expected 1 and at least 1", max_operations,
                                     header.opcode_base), bounds.begin);
    for (int opcode = 1; opcode < header.opcode_base; ++opcode) header.operand_counts.push_back(fields.get<std::uint8_t>());
    if (fields.failed()) return malformed(fmt::format("the header's {} bytes end inside its fields", header_length), bounds.begin);
    header.names = fields.offset();
    return header;
}

Status run_line_program(const LineTableHeader& header, const DebugSection& section, const std::function<void(const LineRange&)>& sink) {
    return LineProgram(header, section, sink).run();
}

Result<LineTableNames> LineTableNames::read(const LineTableHeader& header, Bytes section) {
    LineTableNames names;
    names.version_ = header.encoding.version;
    DwarfCursor cursor(section.first(header.program), header.names);
    Status done;
    if (names.version_ < 5) {
        done = names.read_old_lists(cursor);
    } else {
        done = names.read_list(cursor, header.encoding, names.directories_, "directories");
        if (done) done = names.read_list(cursor, header.encoding, names.files_, "files");
    }
    if (!done) return tl::unexpected(done.error());
    return names;
}

// Version 5: a format (pairs of content type and form), a count, the entries.
Status LineTableNames::read_list(DwarfCursor& cursor, const DwarfEncoding& encoding, std::vector<Name>& list, std::string_view what) {
    using namespace llvm::dwarf;
    const std::uint64_t begin = cursor.offset();
    struct Part { std::uint64_t content, form; };
    std::vector<Part> format(cursor.get<std::uint8_t>());
    for (Part& part : format) part = {cursor.uleb(), cursor.uleb()};
    const std::uint64_t count = cursor.uleb();
    // An entry without bytes would let the count be anything.
    if (cursor.failed() || count > cursor.remaining() || count > kMaxNames)
        return malformed(fmt::format("{} {} in the {} bytes left of the header", count, what, cursor.remaining()), begin);
    for (std::uint64_t i = 0; i < count; ++i) {
        Name name;
        for (const Part& part : format) {
            if (part.content == DW_LNCT_path) {
                if (!read_string_form(cursor, part.form, encoding, name.text))
                    return malformed(fmt::format("{}: path of unknown form {:#x}", what, part.form), begin);
                continue;
            }
            if (part.content == DW_LNCT_directory_index && part.form == DW_FORM_udata)
                name.directory = cursor.uleb();
            else if (part.content == DW_LNCT_directory_index && part.form == DW_FORM_data1)
                name.directory = cursor.get<std::uint8_t>();
            else if (part.content == DW_LNCT_directory_index && part.form == DW_FORM_data2)
                name.directory = cursor.get<std::uint16_t>();
            else if (!skip_form(cursor, part.form, encoding))
                return malformed(fmt::format("{}: content {:#x} of unknown form {:#x}", what, part.content, part.form), begin);
        }
        if (cursor.failed()) return malformed(fmt::format("entry {} of {} {} passes the end of the header", i, count, what), begin);
        list.push_back(name);
    }
    return {};
}

// Versions 2 to 4: strings up to an empty one; behind each file three numbers, of which the first is its directory.
Status LineTableNames::read_old_lists(DwarfCursor& cursor) {
    const std::uint64_t begin = cursor.offset();
    for (std::vector<Name>* list : {&directories_, &files_}) {
        for (;;) {
            Name name{{DwarfStrings::here, cursor.offset(), true}, 0};
            if (cursor.c_string().empty()) break;
            if (list == &files_) {
                name.directory = cursor.uleb();
                cursor.uleb();
                cursor.uleb();
            }
            if (list->size() == kMaxNames) return malformed(fmt::format("more than {} names in a list", kMaxNames), begin);
            list->push_back(name);
        }
        if (cursor.failed()) return malformed("the lists of directories and files do not end inside the header", begin);
    }
    return {};
}

std::string LineTableNames::path_of(std::uint64_t file, const DwarfStringSections& strings,
                                    const std::function<std::string_view()>& compile_directory) const {
    const bool counts_from_0 = version_ >= 5;
    if (!counts_from_0 && file == 0) return {};
    const std::uint64_t index = counts_from_0 ? file : file - 1;
    if (index >= files_.size()) return {};
    const Name& name = files_[index];
    const std::string_view text = text_of(name.text, strings);
    if (text.empty()) return {};
    if (is_absolute(text)) return std::string(text);

    const auto directory = [&](std::uint64_t at) {
        return at < directories_.size() ? text_of(directories_[at].text, strings) : std::string_view();
    };
    std::string path(text);
    if (counts_from_0) {
        // Directory 0 is that of the compilation. It may be relative (-ffile-prefix-map); DW_AT_comp_dir is then the same.
        path = joined(directory(name.directory), path);
        return name.directory == 0 ? path : joined(directory(0), path);
    }
    if (name.directory != 0) path = joined(directory(name.directory - 1), path);
    return is_absolute(path) ? path : joined(compile_directory(), path);
}

}  // namespace trapline::image
