// SPDX-License-Identifier: Apache-2.0
// What is the CPL in conforming code, by jump, call, gate, interrupt and return? conforming_code.md.
#include "runtime.inc"

#define CONFORMING_0 FREE(0)
#define CONFORMING_3 FREE(1)
#define GATE_0 FREE(2)
#define ABSENT FREE(3)

    .globl guest
guest:
    set_descriptor CONFORMING_0, $0, $0xfffff, 0x9f, 0xc
    set_descriptor CONFORMING_3, $0, $0xfffff, 0xff, 0xc
    set_descriptor ABSENT, $0, $0xfffff, 0x1f, 0xc
    set_call_gate GATE_0, CONFORMING_0, $by_call, 0xec, 2
    set_gate 0x60, $by_interrupt, 0xee, CONFORMING_0
    set_gate 0x61, $by_interrupt, 0xee, CONFORMING_3
    xor %edi, %edi
1:  say "cpl="
    say_hex %edi, 1
    say "\n"
    in_ring %edi, $ways_in
    inc %edi
    cmp $4, %edi
    jb 1b
    pass

ways_in:
    mov %esp, %ebp
    try "jump to dpl 0"
    ljmp $CONFORMING_0, $1f
1:  end_try
    call show
    try "jump to dpl 0, rpl 3"
    ljmp $CONFORMING_0 + 3, $1f
1:  end_try
    call show
    try "jump to dpl 3"
    ljmp $CONFORMING_3, $1f
1:  end_try
    call show
    imul $0x11, %edi, %eax                   // back to the ring's own code segment
    add $CODE(0), %eax
    pushl %eax
    pushl $1f
    lret
1:  say "call\n"
    lcall $CONFORMING_0, $by_call_plain
    say "call through a gate, 2 parameters\n"
    pushl $2
    pushl $1
    lcall $GATE_0, $0
    mov %ebp, %esp
    say "int\n"
    int $0x60
    try "int, gate to dpl 3"
    int $0x61
    end_try
    mov %ebp, %esp
    try "not present"
    lcall $ABSENT, $by_call
    end_try
    ring_exit

show:
    say " cs="
    mov %cs, %eax
    say_hex %eax, 4
    say " ss="
    mov %ss, %eax
    say_hex %eax, 4
    say "\n"
    ret
// Nothing was copied and the stack is the caller's; the parameters stay there.
by_call:
    mov %ebp, %eax
    sub %esp, %eax
    say " used="
    say_hex %eax, 2
by_call_plain:
    call show
    lret
by_interrupt:
    call show
    iret
