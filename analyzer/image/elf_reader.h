// SPDX-License-Identifier: Apache-2.0
// The headers, symbols, relocations and notes of an x86 ELF file as plain records. LLVM Object does the reading;
// this is the only door to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/bytes.h"
#include "support/error.h"

namespace trapline::image {

/// ELF constants that the module speaks of, as the gABI and the x86 supplements name them.
namespace elf {
inline constexpr std::uint32_t kPtLoad = 1;
inline constexpr std::uint32_t kPfX = 1, kPfW = 2;
inline constexpr std::uint32_t kShtNull = 0, kShtSymtab = 2, kShtRela = 4, kShtNote = 7, kShtNobits = 8, kShtRel = 9, kShtDynsym = 11;
inline constexpr std::uint64_t kShfWrite = 1, kShfAlloc = 2, kShfExecinstr = 4;
inline constexpr std::uint16_t kEtRel = 1, kEtExec = 2, kEtDyn = 3;
inline constexpr std::uint16_t kEm386 = 3, kEmX8664 = 62;
inline constexpr std::uint8_t kSttNotype = 0, kSttObject = 1, kSttFunc = 2, kSttSection = 3, kSttFile = 4, kSttGnuIfunc = 10;
}  // namespace elf

struct ElfSection {
    std::string name;
    std::uint32_t type = 0;
    std::uint64_t flags = 0, address = 0, offset = 0, size = 0;
    std::uint32_t link = 0, info = 0;
};

struct ElfSegment {
    std::uint32_t type = 0, flags = 0;
    std::uint64_t offset = 0, address = 0, physical = 0, file_size = 0, memory_size = 0;
};

struct ElfFile {
    bool is_64 = false;
    std::uint16_t type = 0, machine = 0;
    std::uint64_t entry = 0;
    std::vector<ElfSection> sections;  ///< by ELF section index, the null section included
    std::vector<ElfSegment> segments;
    std::uint64_t end = 0;             ///< end of the last thing the headers point to: what follows is not ELF
};

struct ElfSymbol {
    std::string_view name;             ///< points into the file
    std::uint64_t value = 0, size = 0;
    std::uint32_t section = 0;         ///< ELF section index; 0 for undefined, absolute and common symbols
    std::uint8_t type = 0;             ///< STT_*
    bool absolute = false;             ///< SHN_ABS: its value is no address that moves with anything
};

struct ElfRelocation {
    std::uint64_t offset = 0;          ///< where the field is: section-relative in ET_REL, else an address
    std::uint32_t symbol = 0;          ///< index in the symbol table that the section links to
    std::uint32_t type = 0;            ///< R_X86_64_* or R_386_*
    std::int64_t addend = 0;           ///< of a RELA entry; 0 for REL, where the field itself holds it
    bool explicit_addend = false;
};

/// Reads the headers. Fails with `unsupported` for other machines and byte orders, `refused` for more than
/// `max_sections` sections, `truncated` or `malformed` naming the section or segment for what is outside the file.
/// `file` is the name used in errors.
Result<ElfFile> read_elf(Bytes bytes, std::uint64_t max_sections, const std::string& file);

/// Reads a symbol table (SHT_SYMTAB or SHT_DYNSYM) by its section index; entry i is ELF symbol i, the null symbol
/// included. A name that does not end inside 4 KiB is an error.
Result<std::vector<ElfSymbol>> read_elf_symbols(Bytes bytes, std::uint32_t section, const std::string& file);

/// Reads the entries of a SHT_REL or SHT_RELA section by its section index.
Result<std::vector<ElfRelocation>> read_elf_relocations(Bytes bytes, std::uint32_t section, const std::string& file);

/// Finds the GNU build id in one note section or segment's bytes; hex, empty when there is none.
std::string find_build_id(Bytes notes);

}  // namespace trapline::image
