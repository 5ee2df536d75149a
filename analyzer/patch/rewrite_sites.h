// SPDX-License-Identifier: Apache-2.0
// The table of sites that a patched file carries for the VMM, in the section .trapline.sites (not loaded).
//
// Layout, little-endian:
//   0x00 "TRPLSITE"   0x08 u16 major 1   0x0A u16 minor 0   0x0C u32 number of records
//   0x10 u32 bytes of one record (40; a newer minor version may append fields)   0x14 u32 number of operations
//   0x18 u64 offset of the operations' names in the section
//   0x20 records, by number: u32 number (what a stub hands to the VMM), u16 operation, u16 ELF section index of the site
//        (0xFFFE: it is in the setup of the bzImage, 0xFFFF: in its boot stub), u64 address of the instruction (in a
//        relocatable file: in its section; in setup and boot stub: from the beginning of the part), u64 address in the stubs where control goes
//        on (in a relocatable file: in .trapline.stubs; in the boot stub: from its beginning; 0 without a stub), u8 length, the original instruction (15 bytes, rest 0)
//   then the names of operations 0, 1, ... as in the database, each with a NUL behind it
#pragma once

#include "image/elf_reader.h"
#include "patch/plan.h"
#include "patch/rewrite_writer.h"

namespace trapline::patch {

/// Renders the table of every site that a patch changes, those in other parts of the bzImage that `elf` came in too. The plan has
/// passed check_plan. The same plan gives the same bytes.
Buffer encode_sites(const PlanDocument& plan, const image::ElfFile& elf);

}  // namespace trapline::patch
