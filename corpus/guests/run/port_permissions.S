// SPDX-License-Identifier: Apache-2.0
// Which ports may ring 3 use: by IOPL, by the bitmap of the TSS, at its edges? port_permissions.md.
#include "runtime.inc"

    .globl guest
guest:
    say "no bitmap\n"
    xor %edi, %edi
1:  say " cpl="
    say_hex %edi, 1
    say "\n"
    in_ring %edi, $both_ways
    mov %edi, %edx
    shl $12, %edx
    or $2, %edx
    in_ring %edi, $both_ways, %edx
    inc %edi
    cmp $4, %edi
    jb 1b

    // A bitmap for ports 0 to 0xff: 81, 82, 83 and e8 to ef are closed; the byte behind it has to be ones.
    mov $io_bitmap, %edi
    xor %eax, %eax
    mov $0x20, %ecx
    rep stosb
    movb $0x0e, io_bitmap + 0x10
    movb $0xff, io_bitmap + 0x1d
    say "bitmap, ring 3\n"
    set_descriptor TSS_SELECTOR, $tss, $(104+0x20), 0x89, 0
    mov $TSS_SELECTOR, %eax
    ltr %ax
    in_ring $3, $bitmap_questions
    say "bitmap, ring 1\n"
    in_ring $1, $both_ways
    say "limit cut to the byte of ports f0-f7\n"
    set_descriptor TSS_SELECTOR, $tss, $(104+0x1e), 0x89, 0
    ltr %ax
    in_ring $3, $cut_questions
    say "bitmap beyond the limit\n"
    movw $104 + 0x1f, tss + 102
    set_descriptor TSS_SELECTOR, $tss, $(104+0x1e), 0x89, 0
    ltr %ax
    in_ring $3, $both_ways
    pass

both_ways:
    try "in"
    in $0x80, %al
    end_try
    try "out"
    out %al, $0x80
    end_try
    ring_exit

bitmap_questions:
    try "80, byte"
    in $0x80, %al
    end_try
    try "81, byte"
    in $0x81, %al
    end_try
    try "80, word"
    in $0x80, %ax
    end_try
    try "84, dword"
    in $0x84, %eax
    end_try
    try "83, word"
    in $0x83, %ax
    end_try
    try "81, dword"
    in $0x81, %eax
    end_try
    mov $0xe8, %edx
    try "e8, byte, by dx"
    in %dx, %al
    end_try
    try "e7, word, over two bytes of the bitmap"
    in $0xe7, %ax
    end_try
    mov $0x84, %edx
    try "84, out"
    out %al, %dx
    end_try
    mov $0x81, %edx
    try "81, out"
    out %al, %dx
    end_try
    mov $memory, %esi
    try "81, outsb"
    outsb
    end_try
    mov $memory, %edi
    try "81, rep insb"
    mov $2, %ecx
    rep insb
    end_try
    try "f0, byte"
    in $0xf0, %al
    end_try
    mov $0x110, %edx
    try "110, beyond the bitmap"
    in %dx, %al
    end_try
    mov $0xffff, %edx
    try "ffff"
    in %dx, %al
    end_try
    try "cli"
    cli
    end_try
    ring_exit

cut_questions:
    mov $0x80, %edx
    try "80, byte"
    in %dx, %al
    end_try
    mov $0xf0, %edx
    try "f0, open, but its second byte is beyond the limit"
    in %dx, %al
    end_try
    ring_exit

    .bss
    .balign 4
memory: .skip 4
