// SPDX-License-Identifier: Apache-2.0
// Behind which instruction is a pending interrupt taken once STI, POPF, IRET or HLT let it? sti_shadow.md.
#include "runtime.inc"

// Runs `code` with IRQ 0 pending and IF as the ring entry gave it; says how many bytes behind its first the interrupt came.
.macro pending text, code
    say "\text"
    call make_pending
    movl $771f, base
771:
    \code
    call taken
.endm

    .globl guest
guest:
    hook IRQ(0), $timer_interrupt
    mov $0xfe, %al
    out %al, $0x21
    say "ring 0\n"
    in_ring $0, $questions
    say "ring 3, iopl 3\n"
    in_ring $3, $user_questions, $2 | IOPL(3)
    in_ring $0, $forms_of_hlt
    pass

questions:
    pending "sti, nop, nop", "sti; nop; nop; cli"
    pending "sti, two-byte mov, nop", "sti; mov %eax, %eax; nop; cli"
    pending "sti, cli", "sti; cli; nop"
    pending "sti, sti, nop", "sti; sti; nop; cli"
    pending "sti, pushf, nop", "sti; pushfl; nop; cli"
    popl %eax
    say " pushed if="
    and $FLAG_IF, %eax
    say_hex %eax, 3
    say "\n"
    pushl $2 | FLAG_IF
    pending "popf, nop", "popfl; nop; cli"
    pushl $2 | FLAG_IF
    pushl %cs
    pushl $1f
    pending "iret", "iret; nop; nop; 1: nop; cli"
    pushl $1f
    pending "sti, ret", "sti; ret; nop; 1: nop; cli"
    pending "sti, jmp", "sti; jmp 1f; nop; nop; 1: nop; cli"
    ring_exit

user_questions:
    pending "sti, nop, nop", "sti; nop; nop; cli"
    pending "sti, cli", "sti; cli; nop"
    pushl $2 | FLAG_IF | IOPL(3)
    pending "popf, nop", "popfl; nop; cli"
    ring_exit

forms_of_hlt:
    pending "sti, hlt", "sti; hlt; cli"
    // The interrupt comes while the processor waits.
    movl $1f, base
    mov $200, %al
    call start_timer
1:  sti
    hlt
    say "hlt, then an interrupt"
    call taken
    ring_exit

// One shot of channel 0: mode 0, count %al.
start_timer:
    push %eax
    mov $0x30, %al
    out %al, $0x43
    pop %eax
    out %al, $0x40
    mov $0, %al
    out %al, $0x40
    movl $0, count
    ret

make_pending:
    mov $50, %al
    call start_timer
1:  mov $0x0a, %al
    out %al, $0x20
    in $0x20, %al
    test $1, %al
    jz 1b
    xor %eax, %eax
    ret

taken:
    pushfl
    cli
    cmpl $1, count
    jne 1f
    say ": +"
    say_hex place, 1
    say "\n"
    popfl
    ret
1:  say ": not taken"
    sti                                      // and now it is
    nop
    cli
    cmpl $1, count
    jne 2f
    say ", pending until later"
2:  say "\n"
    popfl
    ret

timer_interrupt:
    mov FRAME_EIP(%ebx), %eax
    sub base, %eax
    mov %eax, place
    incl count
    mov $0x60, %al
    out %al, $0x20
    ret

    .bss
    .balign 4
base: .skip 4
place: .skip 4
count: .skip 4
