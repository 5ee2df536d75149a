// SPDX-License-Identifier: Apache-2.0
// Thousands of segments in rotation: more than any cache of descriptors holds. descriptor_rotation.md.
#include "runtime.inc"

#define COUNT 4000
#define LDT(n) (8 * (n) + 7)
#define BASE 0x400000                        // RAM behind the guest; double word i holds i

    .globl guest
guest:
    mov $BASE, %edi
    xor %eax, %eax
1:  stosl
    inc %eax
    cmp $COUNT + 8192, %eax
    jb 1b
    // The LDT: entry n is data that begins at double word n, entry 8191 the code of ring 3, with a limit of its own.
    mov $ldt, %edi
    xor %ecx, %ecx
2:  lea BASE(, %ecx, 4), %eax
    mov %eax, %edx
    shl $16, %eax
    or $0x7fff, %eax
    stosl
    mov %edx, %eax
    shr $16, %eax
    and $0xff, %eax
    and $0xff000000, %edx
    or %edx, %eax
    or $0x0040f300, %eax
    stosl
    inc %ecx
    cmp $8190, %ecx
    jb 2b
    set_descriptor FREE(20), $0, $0x1ff, 0xfb, 0xc
    mov gdt + FREE(20), %eax
    mov gdt + FREE(20) + 4, %edx
    mov %eax, ldt + 8 * 8191
    mov %edx, ldt + 8 * 8191 + 4
    set_descriptor FREE(20), $0, $0x7ff, 0xf3, 0xc
    mov gdt + FREE(20), %eax
    mov gdt + FREE(20) + 4, %edx
    mov %eax, ldt + 8 * 8190
    mov %edx, ldt + 8 * 8190 + 4
    set_descriptor LDT_SELECTOR, $ldt, $0xffff, 0x82, 0
    mov $LDT_SELECTOR, %eax
    lldt %ax
    in_ring $0, $one_by_one
    in_ring $3, $one_by_one
    in_ring $0, $four_at_once
    in_ring $3, $four_at_once
    in_ring $3, $own_code
    pass

// One register through all of them: the sum of the first double words.
one_by_one:
    say "gs "
    xor %esi, %esi
    mov $7, %ecx
1:  mov %ecx, %gs
    mov $0, %ebx
    .fill 64, 1, 0x90                        // far enough from the load that the processor runs it
    add %gs:(%ebx), %esi
    add %gs:4(%ebx), %esi
    .fill 64, 1, 0x90
    add $8, %ecx
    cmp $LDT(COUNT), %ecx
    jb 1b
    say_hex %esi
    say "\n"
    ring_exit

// Four that are in use together, each with its own stride, so that old ones are met again beside new ones.
four_at_once:
    say "ds es fs gs "
    xor %esi, %esi
    xor %ebp, %ebp
1:  mov %ebp, %eax
    lea 7(, %eax, 8), %ecx
    mov %ecx, %gs
    xor %edx, %edx
    mov $47, %ecx
    div %ecx
    lea 7(, %edx, 8), %ecx
    mov %ecx, %fs
    mov %ebp, %eax
    xor %edx, %edx
    mov $49, %ecx
    div %ecx
    lea 7(, %edx, 8), %ecx
    mov %ecx, %es
    mov %ebp, %eax
    and $1, %eax
    lea 7(, %eax, 8), %ecx
    mov %ecx, %ds
    xor %ebx, %ebx
    .fill 64, 1, 0x90
    add %ds:(%ebx), %esi
    add %es:(%ebx), %esi
    add %fs:(%ebx), %esi
    add %gs:(%ebx), %esi
    .fill 64, 1, 0x90
    inc %ebp
    cmp $COUNT, %ebp
    jb 1b
    mov %ss, %eax
    mov %eax, %ds
    mov %eax, %es
    say_hex %esi
    say "\n"
    ring_exit

// The same with code and stack out of the LDT.
own_code:
    mov $LDT(8190), %eax
    mov %eax, %ss
    pushl $LDT(8191)
    pushl $four_at_once
    lret
    .bss
    .balign 4096
ldt: .skip 0x10000
