// SPDX-License-Identifier: Apache-2.0
// A return to ring 3 by an instruction that no search for code finds, and what ring 3 may read then. hidden_return.md.
#include "runtime.inc"

#define KEY 0x005ec2e7

    .globl guest
guest:
    call paging_on
    mov $secret, %eax
    shr $12, %eax
    andl $~4, page_table(, %eax, 4)          // the supervisor's
    mov %cr3, %eax
    mov %eax, %cr3
    say "supervisor reads: "
    mov secret, %eax
    say_hex %eax
    say "\n"
    in_ring $3, $warm_up
    hook 14, $on_fault
    // Behind CLI a monitor may go on by itself, for what is sensitive comes in groups. The way on leads through a register to bytes
    // that look like data: DAA, which no compiler makes.
    pushl $DATA(3)
    pushl $user_stack
    pushl $2
    pushl $CODE(3)
    pushl $reader
    mov $hidden, %eax
    cli
    jmp *%eax
    .byte 0x27, 0xd5, 0x27, 0x62, 0xc4, 0x27
hidden:
    daa
    iret

on_fault:
    say "page fault, error code "
    mov FRAME_ERROR(%ebx), %eax
    say_hex %eax, 2
    say ", ring "
    mov FRAME_CS(%ebx), %eax
    and $3, %eax
    say_hex %eax, 1
    say "\n"
    pass

// The first instruction at ring 3. DS is null there: it was ring 0's.
reader:
    mov %ss:secret, %ecx
    say "user code reads: "
    say_hex %ecx
    say "\n"
    fail

warm_up:
    say "user code has run\n"
    ring_exit

    .data
    .balign 4096
secret:
    .long KEY
    .balign 4096

    .bss
    .skip 1024
user_stack:
