// SPDX-License-Identifier: Apache-2.0
// Where do call gates lead, what is on the inner stack, and who may use them? call_gates.md.
#include "runtime.inc"

#define TO_0 FREE(0)
#define TO_0_PARAMETERS FREE(1)
#define TO_1 FREE(2)
#define TO_2 FREE(3)
#define TO_0_DPL_0 FREE(4)
#define TO_3 FREE(5)
#define TO_DATA FREE(7)
#define TO_NULL FREE(8)
#define TO_BEYOND FREE(9)
#define ABSENT FREE(10)
#define WORD_CODE FREE(12)
#define TO_WORD_CODE FREE(13)
#define MANY FREE(14)
#define GATE(selector, rpl) ((selector) + (rpl))

// Calls `gate` with `count` parameters; the inner side describes itself, and ESP must be back.
.macro through text, gate, count
    say "\text:"
    mov %esp, %ebp
    mov $\count, %edx
    .if \count > 2
    pushl $0x33333333
    .endif
    .if \count > 1
    pushl $0x22222222
    .endif
    .if \count > 0
    pushl $0x11111111
    .endif
    lcall $\gate, $0x77777777                // the offset does not count
    sub %esp, %ebp
    say " back, esp differs by "
    say_hex %ebp, 1
    say "\n"
    mov %ss, %eax
    mov %eax, %ds
.endm

    .globl guest
guest:
    set_call_gate TO_0, CODE(0), $inner, 0xec
    set_call_gate TO_0_PARAMETERS, CODE(0), $inner, 0xec, 3
    set_call_gate TO_1, CODE(1), $inner, 0xec, 2
    set_call_gate TO_2, CODE(2), $inner, 0xec, 1
    set_call_gate TO_0_DPL_0, CODE(0), $inner, 0x8c
    set_call_gate TO_3, CODE(3), $inner, 0xec
    set_call_gate TO_DATA, DATA(0), $inner, 0xec
    set_call_gate TO_NULL, 0, $inner, 0xec
    set_call_gate TO_BEYOND, 0x1f8, $inner, 0xec
    set_call_gate ABSENT, CODE(0), $inner, 0x6c
    set_call_gate TO_WORD_CODE, WORD_CODE, $(word_inner-word_base), 0xe4, 2
    set_call_gate MANY, CODE(0), $many, 0xec, 31
    set_descriptor WORD_CODE, $word_base, $0xffff, 0x9b, 0x4

    say "from ring 3\n"
    in_ring $3, $from_3
    say "from ring 2\n"
    in_ring $2, $from_2
    say "from ring 0\n"
    in_ring $0, $from_0
    say "faults at ring 3\n"
    in_ring $3, $faults_3
    say "faults at ring 0\n"
    in_ring $0, $faults_0
    pass

from_3:
    through "to ring 0", GATE(TO_0, 3), 0
    through "to ring 0, rpl 0", GATE(TO_0, 0), 0
    through "to ring 0, 3 parameters", GATE(TO_0_PARAMETERS, 3), 3
    through "to ring 1, 2 parameters", GATE(TO_1, 3), 2
    through "to ring 2, 1 parameter", GATE(TO_2, 3), 1
    through "to ring 3", GATE(TO_3, 3), 0
    // 31 parameters: the inner side adds them.
    mov %esp, %ebp
    mov $31, %ecx
1:  pushl %ecx
    loop 1b
    lcall $GATE(MANY, 3), $0
    sub %esp, %ebp
    say "31 parameters: sum="
    say_hex %eax
    say " esp differs by "
    say_hex %ebp, 1
    say "\n"
    // By a jump: to the same ring alone.
    mov $by_jump, %edx
    pushl $1f
    say "jump to ring 3 through a gate: "
    ljmp $GATE(TO_3, 3), $0
1:  say "\n"
    // A 16-bit gate copies words and pushes words; there is no way back from there with this stack.
    mov %esp, %ebp
    pushw $0x4444
    pushw $0x3333
    lcall $GATE(TO_WORD_CODE, 3), $0

from_2:
    through "to ring 0", GATE(TO_0, 2), 0
    through "to ring 1, 2 parameters", GATE(TO_1, 2), 2
    through "to ring 2, 1 parameter", GATE(TO_2, 2), 1
    ring_exit

from_0:
    through "to ring 0", GATE(TO_0, 0), 0
    through "to ring 0, 3 parameters, none copied", GATE(TO_0_PARAMETERS, 0), 3
    through "dpl 0", GATE(TO_0_DPL_0, 0), 0
    ring_exit

faults_3:
    try "dpl 0"
    lcall $GATE(TO_0_DPL_0, 3), $0
    end_try
    try "jump to ring 0"
    ljmp $GATE(TO_0, 3), $0
    end_try
    try "to data"
    lcall $GATE(TO_DATA, 3), $0
    end_try
    try "to a null selector"
    lcall $GATE(TO_NULL, 3), $0
    end_try
    try "to a selector beyond the table"
    lcall $GATE(TO_BEYOND, 3), $0
    end_try
    try "not present"
    lcall $GATE(ABSENT, 3), $0
    end_try
    ring_exit

faults_0:
    try "rpl 3, dpl 0"
    lcall $GATE(TO_0_DPL_0, 3), $0
    end_try
    try "to ring 3"
    lcall $GATE(TO_3, 0), $0
    end_try
    try "to ring 1"
    lcall $GATE(TO_1, 0), $0
    end_try
    try "not present"
    lcall $GATE(ABSENT, 0), $0
    end_try
    ring_exit


// At whatever ring: what CS, SS and the stack are. %edx: parameters, %ebp: ESP before the caller pushed them.
inner:
    cmp $by_jump, %edx
    je by_jump
    mov %cs, %eax
    mov %eax, %ebx
    and $3, %ebx
    mov 4(%esp), %ecx
    and $3, %ecx
    say " cs="
    say_hex %eax, 4
    say " ss="
    mov %ss, %eax
    say_hex %eax, 4
    say " return cs="
    mov 4(%esp), %eax
    say_hex %eax, 4
    say " parameters"
    xor %esi, %esi
1:  cmp %edx, %esi
    je 2f
    say " "
    mov 8(%esp, %esi, 4), %eax
    say_hex %eax
    inc %esi
    jmp 1b
2:  cmp %ebx, %ecx
    je 3f
    mov tss + 4(, %ebx, 8), %eax
    sub %esp, %eax
    say " used="
    say_hex %eax, 2
    mov 8(%esp, %edx, 4), %eax
    sub %ebp, %eax
    lea (%eax, %edx, 4), %eax
    say " saved esp off by "
    say_hex %eax, 1
    mov 12(%esp, %edx, 4), %eax
    say " saved ss="
    say_hex %eax, 4
3:  cmp $1, %edx
    jb 4f
    je 5f
    cmp $3, %edx
    jb 6f
    lret $12
4:  lret
5:  lret $4
6:  lret $8
by_jump:
    mov %cs, %eax
    say "cs="
    say_hex %eax, 4
    ret

many:
    xor %eax, %eax
    mov $31, %ecx
1:  add 4(%esp, %ecx, 4), %eax
    loop 1b
    lret $124

word_base:
    hlt
word_inner:                                  // 32-bit code; the gate pushed SS, SP, two words, CS, IP
    mov %cs, %eax
    say "16-bit gate: cs="
    say_hex %eax, 4
    mov 2(%esp), %eax
    say " return cs="
    say_hex %eax, 4
    mov 4(%esp), %eax
    say " parameters="
    say_hex %eax
    mov 8(%esp), %eax
    sub %ebp, %eax
    add $4, %eax
    say " saved sp off by "
    say_hex %eax, 4
    mov 10(%esp), %eax
    say " saved ss="
    say_hex %eax, 4
    mov tss + 4, %eax
    sub %esp, %eax
    say " used="
    say_hex %eax, 2
    say "\n"
    ring_exit
