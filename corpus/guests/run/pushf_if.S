// SPDX-License-Identifier: Apache-2.0
// What does PUSHF show of IF, IOPL, NT, RF and AC: after CLI and STI, at each ring, and inside handlers? pushf_if.md.
#include "runtime.inc"

    .globl guest
guest:
    cli
    pushfl
    popl result
    say "cli: "
    call show
    sti
    pushfl
    popl result
    say "sti: "
    call show
    pushfw
    cli
    popw result
    movw $0, result + 2
    say "sti, pushfw: "
    call show
    // PUSHF pushes two bytes or four.
    mov %esp, %eax
    pushfw
    sub %esp, %eax
    lea 2(%esp), %esp
    say "pushfw moves esp by "
    say_hex %eax, 1
    mov %esp, %eax
    pushfl
    sub %esp, %eax
    lea 4(%esp), %esp
    say ", pushfl by "
    say_hex %eax, 1
    say "\n"

    // IF set and clear at each ring, with IOPL 0 and 3: shown as it is.
    mov $1, %esi
1:  mov $0, %edi
2:  say "ring="
    say_hex %esi, 1
    say " given "
    mov levels(, %edi, 4), %edx
    say_hex %edx
    say ": "
    in_ring %esi, $take_flags, %edx
    call show
    inc %edi
    cmp $4, %edi
    jb 2b
    inc %esi
    cmp $4, %esi
    jb 1b

    // Inside handlers.
    set_gate 0x60, $handler_int, 0xee
    set_gate 0x61, $handler_int, 0xef
    say "int 60 (interrupt gate), given 00244cd7 and if: "
    in_ring $0, $raise_60, $0x244ed7
    call show_two
    say "int 61 (trap gate), given 00244cd7 and if: "
    in_ring $0, $raise_61, $0x244ed7
    call show_two
    say "int 60 from ring 3: "
    in_ring $3, $raise_60, $0x244ed7
    call show_two
    set_gate 6, $handler_ud, 0x8e
    say "ud2: "
    in_ring $3, $raise_ud, $2
    call show_two
    pass

raise_60:
    int $0x60
    ring_exit
raise_61:
    int $0x61
    ring_exit
raise_ud:
    ud2
    ring_exit

handler_int:
    pushfl
    popl %ss:inside
    pushl 8(%esp)
    popl %ss:result
    iret
handler_ud:
    pushfl
    popl %ss:inside
    pushl 8(%esp)
    popl %ss:result
    addl $2, (%esp)
    iret

take_flags:
    pushfl
    popl result
    ring_exit

show:
    say_hex result
    say "\n"
    ret
show_two:
    say "pushed "
    say_hex result
    say " inside "
    say_hex inside
    say "\n"
    ret

    .section .rodata
    .balign 4
levels: .long 0x2, 0x202, 0x3002, 0x3202

    .bss
    .balign 4
result: .skip 4
inside: .skip 4
