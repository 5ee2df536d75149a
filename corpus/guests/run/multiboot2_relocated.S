// SPDX-License-Identifier: Apache-2.0
// A Multiboot 2 image that is linked to be loaded at 1 MiB, and asks to be moved 5 MiB higher, where alone it can run. See
// multiboot2_relocated.md.
#define IS_ELF
#define IS_RELOCATED
#include "multiboot2_tags.inc"

// run.ld sets load addresses so much lower than addresses.
    .globl run_shift
    .set run_shift, 0x500000
#define LEAST 0x5f0001                       // no multiple of the alignment
#define MOST 0x62ffff                        // there is one place between them
#define ALIGNMENT 0x20000
#define LOWEST 1

begin_header
    header_tag 10, 0, LEAST, MOST, ALIGNMENT, LOWEST
    header_tag 3, 0, _start - run_shift      // moves with the image
end_header
