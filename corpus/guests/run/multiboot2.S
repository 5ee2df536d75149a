// SPDX-License-Identifier: Apache-2.0
// An ELF image with a Multiboot 2 header of every tag that a PC without EFI can meet. See multiboot2.md.
#define IS_ELF
#include "multiboot2_tags.inc"

begin_header
    header_tag 1, 0, TAG_COMMAND_LINE, TAG_NAME, TAG_MODULE, TAG_MEMORY_SIZES, TAG_MEMORY_MAP, TAG_FRAMEBUFFER, TAG_SECTIONS, 14
    header_tag 1, 1, 4711                    // a wish for what nobody knows
    header_tag 3, 0, _start
    header_tag 4, 0, 3                       // a console is wanted, and EGA text will do
    header_tag 6, 0                          // modules on pages
    header_tag 7, 1                          // boot services of EFI need not end
    header_tag 9, 1, 0x1234                  // an entry for EFI alone
    header_tag 4711, 1, 1, 2, 3              // unknown, and optional
end_header
