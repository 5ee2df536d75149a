// SPDX-License-Identifier: Apache-2.0
// Which accesses fault for each P, W, U of page and directory entry, at which CPL, with which code? page_fault_codes.md.
#include "runtime.inc"

#define TARGET 0x400000                      // linear; the page itself is at 0x300000, full of RET
#define FRAME 0x300000

    .globl guest
guest:
    mov $FRAME, %edi
    mov $0xc3c3c3c3, %eax
    mov $1024, %ecx
    rep stosl
    call paging_on

    // Each kind of page entry under a directory entry that allows all, without and with CR0.WP.
    call page_entries
    mov %cr0, %eax
    or $CR0_WP, %eax
    mov %eax, %cr0
    say "cr0.wp=1\n"
    call page_entries
    // The directory entry restricts as well.
    say "cr0.wp=1, by the directory entry\n"
    movl $FRAME + 7, page_table + 0x1000
    mov $directory_kinds, %esi
1:  lodsl
    cmp $-1, %eax
    je 2f
    mov %eax, %edx
    add $page_table + 0x1000, %edx
    test $1, %al
    jnz 3f
    xor %edx, %edx
3:  mov %edx, page_directory + 4
    call at_rings
    jmp 1b
2:  movl $page_table + 0x1007, page_directory + 4

    say "rings 1 and 2 are the supervisor\n"
    mov $3, %eax
    movl $FRAME + 3, page_table + 0x1000
    invlpg TARGET
    in_ring $1, $accesses
    in_ring $2, $accesses

    // An access that reads and writes is reported as a write.
    say "read and write\n"
    movl $0, page_table + 0x1000
    invlpg TARGET
    in_ring $3, $modify
    movl $FRAME + 5, page_table + 0x1000
    invlpg TARGET
    in_ring $3, $modify
    in_ring $0, $modify

    // Across pages: the second one counts, and nothing is written to the first.
    say "across pages\n"
    movl $FRAME + 7, page_table + 0x1000
    movl $0, page_table + 0x1004
    mov %cr3, %eax
    mov %eax, %cr3
    movl $0x11111111, TARGET + 0xffc
    in_ring $3, $across
    say "the first page has "
    say_hex TARGET + 0xffc
    say "\n"

    // What the processor does by itself is the supervisor's: a descriptor read and its accessed bit.
    say "descriptors, from ring 3\n"
    set_descriptor LDT_SELECTOR, $TARGET, $15, 0x82, 0
    mov $LDT_SELECTOR, %eax
    lldt %ax
    movl $0x0000ffff, FRAME + 8
    movl $0x00cff200, FRAME + 12
    movl $0, page_table + 0x1000
    invlpg TARGET
    hook 14, $page_only
    in_ring $3, $load
    movl $FRAME + 1, page_table + 0x1000
    invlpg TARGET
    in_ring $3, $load
    movl $FRAME + 3, page_table + 0x1000
    invlpg TARGET
    in_ring $3, $load
    pass

page_entries:
    mov $page_kinds, %esi
1:  lodsl
    cmp $-1, %eax
    je 2f
    lea FRAME(%eax), %edx
    mov %edx, page_table + 0x1000
    call at_rings
    jmp 1b
2:  ret

at_rings:                                    // %eax: what is to be printed
    mov %cr3, %edx
    mov %edx, %cr3
    say "p="
    mov %eax, %edx
    and $1, %edx
    say_hex %edx, 1
    say " w="
    mov %eax, %edx
    shr $1, %edx
    and $1, %edx
    say_hex %edx, 1
    say " u="
    mov %eax, %edx
    shr $2, %edx
    say_hex %edx, 1
    say "\n"
    in_ring $0, $accesses
    in_ring $3, $accesses
    ret

accesses:
    mov $TARGET, %ebp
    try "  read"
    mov 0x10(%ebp), %cl
    end_try
    try "  write"
    movb $0xc3, 0x20(%ebp)
    end_try
    try "  execute"
    call *%ebp
    end_try
    ring_exit

modify:
    try "  addl"
    addl $0, TARGET + 0x30
    end_try
    ring_exit

across:
    try "read"
    mov TARGET + 0xffe, %eax
    end_try
    try "write"
    movl $0x22222222, TARGET + 0xffe
    end_try
    // Two and a half elements fit: ECX and EDI say so.
    mov $TARGET + 0xff6, %edi
    mov $0x33333333, %eax
    mov $5, %ecx
    try "rep stosl"
    rep stosl
    end_try
    say "ecx="
    say_hex %ecx
    say " edi="
    say_hex %edi
    say "\n"
    movb $0x90, TARGET + 0xfff                // NOP, then the absent page
    mov $TARGET + 0xfff, %eax
    try "execute"
    jmp *%eax
    end_try
    movb $0xb8, TARGET + 0xfff                // MOV imm32 to EAX, of which four bytes are absent
    mov $TARGET + 0xfff, %eax
    try "an instruction across"
    jmp *%eax
    end_try
    ring_exit

// Which of the descriptor's bytes are touched first is not architectural.
page_only:
    say "#PF error="
    say_hex FRAME_ERROR(%ebx)
    mov %cr2, %eax
    shr $12, %eax
    say " page="
    say_hex %eax, 5
    say "\n"
    jmp resume

load:
    mov $0xf, %eax
    try "load of ds"
    mov %eax, %ds
    end_try
    mov %ss, %eax
    mov %eax, %ds
    ring_exit

    .section .rodata
    .balign 4
page_kinds: .long 0, 2, 4, 6, 1, 3, 5, 7, -1
directory_kinds: .long 0, 1, 3, 5, 7, -1
