// SPDX-License-Identifier: Apache-2.0
// Which vector, error code, saved EIP and CR2 does each exception have that software can raise? exceptions.md.
#include "runtime.inc"

    .globl guest
guest:
    set_descriptor FREE(0), $0, $0xfffff, 0x72, 0xc      // 58: data, not present
    set_descriptor FREE(1), $0, $0xfffff, 0x7a, 0xc      // 60: code, DPL 3, not present
    set_descriptor FREE(2), $0, $0xfffff, 0x12, 0xc      // 68: data, DPL 0, not present
    set_descriptor FREE(3), $0, $0xfffff, 0x32, 0xc      // 70: data, DPL 1, not present
    set_call_gate FREE(4), CODE(1), $never, 0xec         // 78: to ring 1, DPL 3
    set_call_gate FREE(5), CODE(0), $never, 0x6c         // 80: not present
    set_gate 0x60, $never, 0x0e                          // not present
    set_gate 0x61, $never, 0x8e                          // DPL 0
    set_gate 0x62, $never, 0xee, FREE(1)                 // into a segment that is not present
    set_gate 0x63, $never, 0xee, 0                       // into a null selector

    xor %edi, %edi
1:  say "at ring "
    say_hex %edi, 1
    say "\n"
    in_ring %edi, $at_any_ring
    add $3, %edi
    cmp $6, %edi
    jb 1b

    say "ring 3 alone\n"
    in_ring $3, $at_ring_3
    movw $0, tss + 16
    in_ring $3, $ts_null
    movw $DATA(2), tss + 16
    in_ring $3, $ts_dpl
    movw $FREE(3) + 1, tss + 16
    in_ring $3, $ts_absent
    movw $DATA(1), tss + 16

    say "floating point\n"
    in_ring $0, $floating_point
    say "paging\n"
    call paging_on
    movl $0, page_table + 4 * 0x700
    in_ring $0, $paging
    in_ring $3, $paging
    mov %cr0, %eax
    or $CR0_AM, %eax
    mov %eax, %cr0
    in_ring $0, $unaligned, $2 | FLAG_AC
    in_ring $3, $unaligned, $2 | FLAG_AC
    in_ring $3, $unaligned, $2

    say "faults of delivery\n"
    in_ring $0, $delivery
    pass

never:
    ud2

at_any_ring:
    xor %edx, %edx
    mov $1, %eax
    xor %ecx, %ecx
    try "div by 0"
    div %ecx
    end_try
    mov $1, %edx
    mov $1, %ecx
    try "div too large"
    div %ecx
    end_try
    mov $0x80000000, %eax
    cltd
    mov $-1, %ecx
    try "idiv of the smallest by -1"
    idiv %ecx
    end_try
    try "aam 0"
    .byte 0xd4, 0x00
    end_try
    try "int3"
    int3
    end_try
    try "int 3, two bytes"
    .byte 0xcd, 0x03
    end_try
    mov $0x7f, %al
    add $1, %al
    try "into, of=1"
    into
    end_try
    try "int 4"
    int $4
    end_try
    xor %eax, %eax
    try "into, of=0"
    into
    end_try
    mov $5, %eax
    try "bound, inside"
    bound %eax, bounds
    end_try
    mov $6, %eax
    try "bound, above"
    bound %eax, bounds
    end_try
    mov $-1, %eax
    try "bound, below"
    bound %eax, bounds
    end_try
    try "ud2"
    ud2
    end_try
    try "lock on a register"
    .byte 0xf0, 0x01, 0xc0
    end_try
    try "lock nop"
    .byte 0xf0, 0x90
    end_try
    try "mov to cs"
    .byte 0x8e, 0xc8
    end_try
    try "segment register 6"
    .byte 0x8c, 0xf0
    end_try
    try "lea of a register"
    .byte 0x8d, 0xc0
    end_try
    try "15 bytes"
    .fill 14, 1, 0x66
    nop
    end_try
    try "16 bytes"
    .fill 15, 1, 0x66
    nop
    end_try
    mov $FREE(0) + 3, %eax
    try "load of ds, not present"
    mov %eax, %ds
    end_try
    try "far jump to code, not present"
    ljmp $FREE(1) + 3, $never
    end_try
    try "far call to a null selector"
    lcall $0, $never
    end_try
    try "far jump to data"
    ljmp $0x43, $never
    end_try
    try "int, gate not present"
    int $0x60
    end_try
    try "int, code not present"
    int $0x62
    end_try
    try "int, null code"
    int $0x63
    end_try
    ring_exit

at_ring_3:
    try "int, dpl 0"
    int $0x61
    end_try
    try "int 14"
    int $14
    end_try
    try "int, dpl 0 and not present"
    int $0x60
    end_try
    try "call gate not present, dpl 3"
    lcall $FREE(5) + 3, $0
    end_try
    try "hlt"
    hlt
    end_try
    try "in"
    in $0x80, %al
    end_try
    try "cli"
    cli
    end_try
    ring_exit

ts_null:
    try "call gate to ring 1, ss1 null"
    lcall $FREE(4) + 3, $0
    end_try
    ring_exit
ts_dpl:
    try "call gate to ring 1, ss1 of ring 2"
    lcall $FREE(4) + 3, $0
    end_try
    ring_exit
ts_absent:
    try "call gate to ring 1, ss1 not present"
    lcall $FREE(4) + 3, $0
    end_try
    ring_exit

floating_point:
    fninit
    mov %cr0, %eax
    or $CR0_TS, %eax
    mov %eax, %cr0
    try "fld1, ts=1"
    fld1
    end_try
    try "fwait, ts=1 mp=1"
    fwait
    end_try
    clts
    fldcw unmasked_zero_divide
    fld1
    fldz
    try "fdivr, unmasked, pending"
    fdivrp
    end_try
    try "fwait"
    fwait
    end_try
    try "fld1"
    fld1
    end_try
    try "fnstsw"
    fnstsw %ax
    end_try
    fninit
    mov $FREE(2), %eax
    try "load of ss, not present"
    mov %eax, %ss
    end_try
    try "xorps, osfxsr=0"
    xorps %xmm0, %xmm0
    end_try
    mov $CR4_OSFXSR, %eax
    mov %eax, %cr4
    try "xorps, osfxsr=1"
    xorps %xmm0, %xmm0
    end_try
    ldmxcsr simd_unmasked_zero_divide
    movups ones, %xmm1
    try "divps by 0, osxmmexcpt=0"
    divps %xmm0, %xmm1
    end_try
    mov $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    mov %eax, %cr4
    try "divps by 0, osxmmexcpt=1"
    divps %xmm0, %xmm1
    end_try
    ldmxcsr simd_all_masked
    try "divps by 0, masked"
    divps %xmm0, %xmm1
    end_try
    try "movaps, unaligned"
    movaps ones + 4, %xmm1
    end_try
    try "ldmxcsr, reserved bit"
    ldmxcsr simd_reserved
    end_try
    ring_exit

paging:
    mov $0x700123, %ebp
    try "read of an absent page"
    mov (%ebp), %eax
    end_try
    try "write to an absent page"
    movb $1, (%ebp)
    end_try
    try "jump to an absent page"
    jmp *%ebp
    end_try
    ring_exit

unaligned:
    try "unaligned word"
    movw words + 1, %ax
    end_try
    try "unaligned dword"
    movl words + 2, %eax
    end_try
    try "aligned dword"
    movl words + 4, %eax
    end_try
    ring_exit

// An exception whose gate cannot be used.
delivery:
    xor %edx, %edx
    xor %ecx, %ecx
    movb $0x0e, idt + 8 * 6 + 5
    try "#UD, gate not present"
    ud2
    end_try
    movb $0x8e, idt + 8 * 6 + 5
    movb $0x0e, idt + 8 * 0 + 5
    try "#DE, gate not present"
    div %ecx
    end_try
    movb $0x8e, idt + 8 * 0 + 5
    movb $0x0e, idt + 8 * 14 + 5
    try "#PF, gate not present"
    mov 0x700000, %eax
    end_try
    movb $0x8e, idt + 8 * 14 + 5
    movb $0x0e, idt + 8 * 13 + 5
    try "#GP, gate not present"
    ljmp $0x43, $never
    end_try
    movb $0x8e, idt + 8 * 13 + 5
    movw $0x4c, idt + 8 * 3 + 2
    try "#BP, code beyond the ldt"
    int3
    end_try
    movw $CODE(0), idt + 8 * 3 + 2
    // The limit of the interrupt table ends behind the runtime's services.
    lidt short_idt
    try "int beyond the limit"
    int $0x60
    end_try
    lidt idt_pointer
    ring_exit

    .section .rodata
    .balign 16
ones: .float 1, 1, 1, 1, 1
bounds: .long 0, 5
unmasked_zero_divide: .word 0x37b
    .balign 4
simd_unmasked_zero_divide: .long 0x1d80
simd_all_masked: .long 0x1f80
simd_reserved: .long 0x80000000
words: .long 0, 0
    .data
short_idt:
    .word 0x46 * 8 - 1
    .long idt
