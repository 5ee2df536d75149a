// SPDX-License-Identifier: Apache-2.0
// Adds sections to an x86 ELF file without moving what it has: everything new, the tables that grow among it, goes into
// one block behind the last thing that the headers point to. What follows an ELF file (a kernel's relocation table, which
// the boot code reads backwards from the end) stays last.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "image/elf_reader.h"
#include "patch/rewrite_undo.h"

namespace trapline::patch {

/// Program header type of the stubs, in the range that the gABI leaves to systems (PT_LOOS to PT_HIOS). It is not PT_LOAD:
/// the kernel's own decompressor (parse_elf of arch/x86/boot/compressed/misc.c) copies every PT_LOAD to an offset that it
/// computes from p_paddr, which for addresses at the top of the space lies far outside the memory it has. It skips every
/// other type, as boot loaders do; the VMM maps the segment's bytes at p_vaddr, readable and executable.
inline constexpr std::uint32_t kPtTraplineStubs = 0x60545250;

inline constexpr std::string_view kStubSection = ".trapline.stubs";
inline constexpr std::string_view kSiteSection = ".trapline.sites";
inline constexpr std::string_view kUndoSection = ".trapline.undo";

/// A section to be added, or new contents for one that is there.
struct NewSection {
    std::string name;
    std::uint32_t type = 1;  ///< SHT_PROGBITS
    std::uint64_t flags = 0, address = 0;
    Buffer bytes;
    std::uint32_t link = 0, info = 0;
    std::uint64_t alignment = 1, entry_size = 0;
};

struct SectionContents {
    std::uint32_t section = 0;  ///< ELF section index
    Buffer bytes;
    std::uint32_t info = 0;  ///< new sh_info
};

/// What is to be done to one ELF file.
struct ElfEdit {
    std::vector<UndoEdit> writes;           ///< new bytes at offsets of the original, by offset
    std::vector<NewSection> added;          ///< their indexes begin at the number of sections that the file has
    std::vector<SectionContents> replaced;  ///< old contents stay behind, unused
    bool stub_segment = false;              ///< the section named .trapline.stubs gets a program header
    bool drop_tail = false;                 ///< what follows the ELF is left out (a signature)
    bool embed_undo = true;                 ///< the section .trapline.undo is added, behind the others
};

struct EditedElf {
    Buffer bytes;
    UndoRecord undo;
};

/// Carries the edit out. Fails with `unsupported` for files without section headers, with a header table inside a
/// segment that must stay where it is (PT_PHDR, without room behind it), or with 65,280 sections and more.
Result<EditedElf> edit_elf(Bytes original, const image::ElfFile& elf, const ElfEdit& edit, const std::string& name);

/// Finds the contents of the first section of that name; nothing when there is none.
std::optional<Bytes> find_section_bytes(Bytes file, const image::ElfFile& elf, std::string_view section);

}  // namespace trapline::patch
