// SPDX-License-Identifier: Apache-2.0
// Live code patched with INT3 first, tail next, head last, as kernels do it, while it runs. smc_text_poke.md.
#include "runtime.inc"

    .globl guest
guest:
    hook 3, $breakpoint
    in_ring $0, $rounds
    call paging_on
    say "paged, code pages read-only, written through an alias\n"
    // The text at its own address read-only; the alias 0x400000 + physical is writable.
    mov $page_table, %esi
    mov $page_table + 0x1000, %edi
    mov $1024, %ecx
    rep movsl
    mov $site, %eax
    shr $12, %eax
    andl $~2, page_table(, %eax, 4)
    movl $0x400000, alias
    mov %cr3, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $CR0_WP, %eax
    mov %eax, %cr0
    in_ring $0, $rounds
    hook 14, $refused
    try "write at the site itself"
    movb $0x90, site
    end_try
    pass

refused:
    say "#PF error="
    say_hex FRAME_ERROR(%ebx)
    mov %cr2, %eax
    sub $site, %eax
    say " at site+"
    say_hex %eax, 1
    say "\n"
    jmp resume

rounds:
    movl $0, emulated
    call site
    say "five nops: eax="
    say_hex %eax
    mov $to_first, %esi
    call poke
    call site
    say "\ncall first: eax="
    say_hex %eax
    mov $to_second, %esi
    call poke
    call site
    say "\ncall second: eax="
    say_hex %eax
    mov $to_jump, %esi
    call poke
    call site
    say "\njump: eax="
    say_hex %eax
    mov $to_nops, %esi
    call poke
    call site
    say "\nfive nops: eax="
    say_hex %eax
    say "\nbreakpoints emulated: "
    say_hex emulated
    // Many times: on and off like a jump label.
    mov $200, %ecx
    xor %ebx, %ebx
1:  mov $to_first, %esi
    call poke
    call site
    add %eax, %ebx
    mov $to_nops, %esi
    call poke
    call site
    add %eax, %ebx
    loop 1b
    say "\n200 times on and off: sum="
    say_hex %ebx
    say " breakpoints emulated: "
    say_hex emulated
    say " text="
    movzbl poked, %eax
    say_hex %eax, 2
    mov poked + 1, %eax
    say_hex %eax
    say "\n"
    ring_exit

// Puts the five bytes at %esi at the site, and runs it between the steps: at its INT3 it acts as the handler says.
poke:
    pushal
    mov $poked, %edi
    add alias, %edi
    movb $0xcc, (%edi)
    call serialize
    mov %esi, new
    call site
    mov 1(%esi), %eax
    mov %eax, 1(%edi)
    call serialize
    call site
    mov (%esi), %al
    mov %al, (%edi)
    call serialize
    popal
    ret

// At the INT3 the new instruction is carried out here.
breakpoint:
    incl emulated
    cmpl $poked + 1, FRAME_EIP(%ebx)
    jne guest_failed
    mov new, %esi
    addl $4, FRAME_EIP(%ebx)
    cmpb $0xe8, (%esi)
    je 1f
    cmpb $0xe9, (%esi)
    je 2f
    ret
1:  mov FRAME_EIP(%ebx), %eax                // a call: within ring 0 its frame has no ESP, so it goes through a register
    mov %eax, return_to
    add 1(%esi), %eax
    mov %eax, target
    movl $emulated_call, FRAME_EIP(%ebx)
    ret
2:  mov 1(%esi), %eax
    add %eax, FRAME_EIP(%ebx)
    ret
emulated_call:
    pushl return_to
    jmp *target

serialize:
    pushal
    xor %eax, %eax
    cpuid
    popal
    ret

    .balign 4096
site:
    mov $1, %eax
poked: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00
    add $0x10, %eax
    ret
behind:
    add $0x1000, %eax
    ret
first:
    add $0x100, %eax
    ret
second:
    add $0x200, %eax
    ret

    .section .rodata
to_first: .byte 0xe8
    .long first - (poked + 5)
to_second: .byte 0xe8
    .long second - (poked + 5)
to_jump: .byte 0xe9
    .long behind - (poked + 5)
to_nops: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00

    .data
    .balign 4
alias: .long 0
new: .long 0
emulated: .long 0
return_to: .long 0
target: .long 0
