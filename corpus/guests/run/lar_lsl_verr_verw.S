// SPDX-License-Identifier: Apache-2.0
// What do LAR, LSL, VERR and VERW answer for each kind of descriptor, CPL and RPL? lar_lsl_verr_verw.md.
#include "runtime.inc"

    .globl guest
guest:
    mov $descriptors, %esi
    mov $gdt + FREE(0), %edi
    mov $(descriptors_end - descriptors) / 4, %ecx
    rep movsl

    xor %edi, %edi
1:  say "cpl="
    say_hex %edi, 1
    say "\n"
    in_ring %edi, $queries
    add $3, %edi
    cmp $6, %edi
    jb 1b
    say "cpl=1, 2\n"
    in_ring $1, $dpl_queries
    in_ring $2, $dpl_queries

    // Word forms: the lower half alone is written.
    mov $-1, %eax
    mov $FREE(1), %ecx
    lar %cx, %ax
    say "larw: "
    say_hex %eax
    mov $-1, %eax
    lsl %cx, %ax
    say " lslw: "
    say_hex %eax
    // Nothing changes when there is no answer, and only ZF does else.
    mov $0x12345678, %eax
    xor %ecx, %ecx
    pushl $0x8d7                             // OF SF ZF AF PF CF
    popfl
    lar %cx, %eax
    pushfl
    popl %edx
    say "\nlar of null: eax="
    say_hex %eax
    say " flags="
    say_hex %edx, 3
    mov $0x10, %ecx
    pushl $0x895
    popfl
    verr %cx
    pushfl
    popl %edx
    say " verr of 0010: flags="
    say_hex %edx, 3
    say "\n"
    pass

queries:
    mov $selectors, %esi
1:  movzwl (%esi), %ecx
    cmp $0xffff, %ecx
    je 2f
    call query
    add $2, %esi
    jmp 1b
2:  ring_exit

dpl_queries:
    mov $0x18, %ecx
    call query
    mov $0x20, %ecx
    call query
    mov $0x30, %ecx
    call query
    ring_exit

// LAR shows bits 8-15 and 20-23; the manual leaves 16-19 open.
query:
    say_hex %ecx, 4
    say " lar="
    mov $-1, %eax
    lar %cx, %eax
    jnz 1f
    and $0x00f0ff00, %eax
    say_hex %eax
    jmp 2f
1:  say "-"
2:  say " lsl="
    lsl %cx, %eax
    jnz 1f
    say_hex %eax
    jmp 2f
1:  say "-"
2:  verr %cx
    setz %al
    say " verr="
    say_hex %eax, 1
    verw %cx
    setz %al
    say " verw="
    say_hex %eax, 1
    say "\n"
    ret

    .section .rodata
    .balign 8
descriptors:
    descriptor 0x123456, 0xfff, 0x93, 0x4    // 58: data, byte granular
    descriptor 0, 5, 0xf1, 0xc               // 60: data, read-only, DPL 3, page granular
    descriptor 0, 0xfffff, 0xf9, 0xc         // 68: code, execute-only, DPL 3
    descriptor 0, 0xfffff, 0x9f, 0xd         // 70: code, conforming, readable, DPL 0, AVL
    descriptor 0, 0x10, 0x73, 0x0            // 78: data, DPL 3, not present
    descriptor 0, 0x0fff, 0xf7, 0x4          // 80: data, expand-down, DPL 3
    descriptor 0, 0x17, 0xe2, 0x0            // 88: LDT, DPL 3
    descriptor 0, 0x2b, 0xe1, 0x0            // 90: 16-bit TSS, available, DPL 3
    descriptor 0, 0x2b, 0xe3, 0x0            // 98: 16-bit TSS, busy
    descriptor 0, 0x67, 0xe9, 0x0            // a0: 32-bit TSS, available
    descriptor 0, 0x67, 0xeb, 0x0            // a8: 32-bit TSS, busy
    descriptor 0, 0, 0xe4, 0x0               // b0: 16-bit call gate
    descriptor 0, 0, 0xec, 0x0               // b8: 32-bit call gate
    descriptor 0, 0, 0xe5, 0x0               // c0: task gate
    descriptor 0, 0, 0xe6, 0x0               // c8: 16-bit interrupt gate
    descriptor 0, 0, 0xe7, 0x0               // d0: 16-bit trap gate
    descriptor 0, 0, 0xee, 0x0               // d8: 32-bit interrupt gate
    descriptor 0, 0, 0xef, 0x0               // e0: 32-bit trap gate
    descriptor 0, 0, 0xe0, 0x0               // e8: reserved types
    descriptor 0, 0, 0xe8, 0x0               // f0
    descriptor 0, 0, 0xea, 0x0               // f8
    descriptor 0, 0, 0xed, 0x0               // 100
    descriptor 0, 0xfffff, 0xfb, 0x8         // 108: code, 16-bit, readable, DPL 3
descriptors_end:
selectors:
    .word 0x0000, 0x0008, 0x0010, 0x0013, 0x0038, 0x003b, 0x0043, 0x0048, 0x0050, 0x0058, 0x0060, 0x0063, 0x0068, 0x0070, 0x0073
    .word 0x0078, 0x0080, 0x0088, 0x0090, 0x0098, 0x00a0, 0x00a8, 0x00b0, 0x00b8, 0x00c0, 0x00c8, 0x00d0, 0x00d8, 0x00e0, 0x00e8
    .word 0x00f0, 0x00f8, 0x0100, 0x0108, 0x01f8, 0x0014, 0xffff
