// SPDX-License-Identifier: Apache-2.0
// Accesses that reach over the last byte of the address space. edges.md.
#include "hostile.inc"

#define TOP 0xfffff000

    .globl guest
guest:
    mov $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    mov %eax, %cr4
    fninit
    call paging_on
    // The last page of the address space, and of the table that leads to it.
    mov $top_table + 7, %eax
    mov %eax, page_directory + 4 * 1023
    mov $top_frame + 7, %eax
    mov %eax, top_table + 4 * 1023
    movl $low_frame + 7, page_table
    mov %cr3, %eax
    mov %eax, %cr3
    cases
    on integers, integers
    on ring3, integers_ring3
    on strings, strings
    on floating, floating
    on vectors, vectors
    on save_state, save_state
    on stack, stack
    on code, code
    on jump, jump
    on descriptors, descriptors
    end_cases

integers_ring3:
    in_ring $3, $integers
integers:
    run_natively
    try "read"
    mov 0xfffffffe, %eax
    end_try
    run_natively
    try "write"
    movl $0x12345678, 0xfffffffd
    end_try
    run_natively
    try "exchange"
    lock xaddl %eax, 0xffffffff
    end_try
    run_natively
    try "word"
    mov 0xffffffff, %ax
    end_try
    run_natively
    mov $0x12345678, %ebx
    try "index"
    mov -0x1234567a(%ebx, %ebx, 1), %al      // 0xffffffff and more: modulo 2^32
    end_try
    jmp leave
strings:
    mov $0xffffff00, %esi
    mov $0xffffff80, %edi
    mov $0x100, %ecx
    run_natively
    mov $0x100, %ecx
    try "rep movsl"
    rep movsl
    end_try
    mov $0xfffffff0, %edi
    mov $-1, %ecx
    try "rep stosb without end"
    rep stosb
    end_try
    pass
floating:
    run_natively
    try "fld"
    fldl 0xfffffffc
    end_try
    run_natively
    try "fstp"
    fstpt 0xfffffffa
    end_try
    pass
vectors:
    run_natively
    try "movups"
    movups 0xfffffff8, %xmm0
    end_try
    run_natively
    try "movups"
    movups %xmm0, 0xfffffff1
    end_try
    pass
save_state:
    run_natively
    try "fxsave"
    fxsave 0xfffffff0
    end_try
    pass
stack:
    run_natively
    mov %esp, %ebp
    mov $2, %esp
    pushl $1
    popl %eax
    pushal
    mov %ebp, %esp
    say "pushed\n"
    pass
// The last instruction of the page begins at its last byte, and goes on at 0.
code:
    movb $0xb8, top_frame + 4095             // mov $0x90909090, %eax
    movl $0x90909090, low_frame
    movb $0xc3, low_frame + 4                // ret
    run_natively
    mov $0xffffffff, %eax
    try "code over the end"
    call *%eax
    end_try
    pass
// The last instruction ends with the page.
jump:
    movb $0x90, top_frame + 4095
    movb $0xc3, low_frame
    run_natively
    mov $0xffffffff, %eax
    try "code up to the end"
    call *%eax
    end_try
    pass
descriptors:
    run_natively
    try "lgdt"
    lgdt 0xfffffffd
    end_try
    pass
leave:
    say "left\n"
    mov %cs, %eax
    test $3, %al
    jz 1f
    ring_exit
1:  pass
    .bss
    .balign 4096
top_table: .skip 4096
top_frame: .skip 4096
low_frame: .skip 4096
