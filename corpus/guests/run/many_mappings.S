// SPDX-License-Identifier: Apache-2.0
// Page tables that map each page elsewhere than its neighbours, more of them than an operating system gives a process. many_mappings.md.
#include "runtime.inc"

#define TABLES 0x200000                      // page tables, one behind the other
#define FRAMES 0x280000                      // what they lead to: frame i begins with i
#define FRAME_COUNT 1024
#define FIRST 0x10000000                     // linear
#define PAGES (80 * 1024)

    .globl guest
guest:
    call paging_on
    xor %ecx, %ecx
    mov $FRAMES, %edi
1:  mov %ecx, (%edi)
    add $4096, %edi
    inc %ecx
    cmp $FRAME_COUNT, %ecx
    jb 1b
    movl $5, stride
    call fill_tables
    mov $TABLES + 7, %eax
    mov $page_directory + FIRST >> 20, %edi
    mov $PAGES / 1024, %ecx
3:  stosl
    add $4096, %eax
    loop 3b
    mov %cr3, %eax
    mov %eax, %cr3
    in_ring $0, $walk
    in_ring $3, $write
    mov $CR4_PGE, %eax
    mov %eax, %cr4
    in_ring $3, $walk
    movl $0, stride
    call fill_tables
    mov %cr3, %eax
    mov %eax, %cr3
    in_ring $3, $walk
    pass

// Page i leads to frame i * stride modulo their number; every other one is read-only.
fill_tables:
    mov $TABLES, %edi
    xor %ecx, %ecx
1:  mov stride, %eax
    imul %ecx, %eax
    and $FRAME_COUNT - 1, %eax
    shl $12, %eax
    mov %ecx, %edx
    and $1, %edx
    lea FRAMES + 5(%eax, %edx, 2), %eax
    stosl
    inc %ecx
    cmp $PAGES, %ecx
    jb 1b
    ret

// Reads all pages; the sum of what they begin with.
walk:
    say "sum "
    xor %esi, %esi
    mov $FIRST, %edi
    mov $PAGES, %ecx
    .fill 64, 1, 0x90                        // far enough from the INT that the processor runs it
1:  add (%edi), %esi
    add $4096, %edi
    loop 1b
    .fill 64, 1, 0x90
    say_hex %esi
    say "\n"
    ring_exit

// Writes to those that may be written, and tries one that may not.
write:
    mov $FIRST + 4096, %edi
    mov $PAGES / 2, %ecx
    .fill 64, 1, 0x90
1:  addl $1, (%edi)
    add $8192, %edi
    loop 1b
    .fill 64, 1, 0x90
    try "read-only"
    addl $1, FIRST + 8192
    end_try
    ring_exit

    .data
stride: .long 0
