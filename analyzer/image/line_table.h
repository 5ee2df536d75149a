// SPDX-License-Identifier: Apache-2.0
// One table of .debug_line (DWARF 2 to 5): its header, its program, its file names. Nothing of the table is kept: rows are
// handed out as the program makes them, so a table of any size costs no memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "image/debug_section.h"
#include "image/dwarf_reader.h"

namespace trapline::image {

/// The header of a table, without its lists of names.
struct LineTableHeader {
    DwarfUnitBounds bounds;
    DwarfEncoding encoding;
    std::uint64_t names = 0;                     ///< where the lists of directories and files begin
    std::uint64_t program = 0;                   ///< where the program begins and the lists end
    std::uint8_t min_insn_length = 1;
    std::int8_t line_base = 0;
    std::uint8_t line_range = 0;
    std::uint8_t opcode_base = 1;
    std::vector<std::uint8_t> operand_counts;    ///< of the standard opcodes 1, 2, ...
};

/// Reads the header of the table at `bounds`. `address_size` is that of the file, for versions that do not say.
Result<LineTableHeader> read_line_table_header(Bytes section, const DwarfUnitBounds& bounds, std::uint8_t address_size);

/// The bytes of code that one row speaks of.
struct LineRange {
    std::optional<std::uint32_t> section;        ///< ELF section, in a relocatable file
    std::uint64_t begin = 0, end = 0;            ///< addresses; section-relative in a relocatable file
    std::uint64_t file = 0;                      ///< as the table counts: from 0 in version 5, from 1 before
    std::uint32_t line = 0;                      ///< 0: the compiler says that there is none
};

/// Runs the program and gives each row that covers bytes, in the program's order. Of rows at one address the last speaks.
/// Fails where the program is broken, after what came before was given. Time: linear in the program.
Status run_line_program(const LineTableHeader& header, const DebugSection& section, const std::function<void(const LineRange&)>& sink);

/// The lists of directories and files of one table.
class LineTableNames {
public:
    /// Reads the lists. Fails when they are broken, or longer than a hundred times what real tables have.
    static Result<LineTableNames> read(const LineTableHeader& header, Bytes section);

    /// Gives the path of a file, joined to its directory, and that to the directory of the compilation, as far as each is
    /// relative: `compile_directory`, or what the table lists itself from version 5 on. Empty when the table does not
    /// name the file.
    std::string path_of(std::uint64_t file, const DwarfStringSections& strings,
                        const std::function<std::string_view()>& compile_directory) const;

private:
    struct Name {
        DwarfString text;
        std::uint64_t directory = 0;
    };

    Status read_list(DwarfCursor& cursor, const DwarfEncoding& encoding, std::vector<Name>& list, std::string_view what);
    Status read_old_lists(DwarfCursor& cursor);

    std::uint16_t version_ = 0;
    std::vector<Name> directories_, files_;
};

}  // namespace trapline::image
