// SPDX-License-Identifier: Apache-2.0
// Far jumps, calls and returns without gates: what is pushed, what CS becomes, outer returns, faults. far_transfers.md.
#include "runtime.inc"

#define ABSENT FREE(0)
#define SHORT FREE(1)
#define BASED FREE(2)
#define ABSENT_STACK FREE(3)

    .globl guest
guest:
    set_descriptor ABSENT, $0, $0xfffff, 0x7b, 0xc          // code, DPL 3
    set_descriptor SHORT, $0, $0xfff, 0xfb, 0x4             // code, DPL 3
    set_descriptor BASED, $based, $0xffff, 0xfb, 0x4        // code, DPL 3
    set_descriptor ABSENT_STACK, $0, $0xfffff, 0x73, 0xc    // data, DPL 3
    say "ring 0\n"
    in_ring $0, $forms
    in_ring $0, $faults
    say "ring 3\n"
    in_ring $3, $forms
    in_ring $3, $faults
    in_ring $3, $forms_3
    say "returns to outer rings\n"
    mov $1, %edi
1:  in_ring $0, $outer_return
    inc %edi
    cmp $4, %edi
    jb 1b
    say "faults of returns from ring 0\n"
    in_ring $0, $bad_returns
    pass

forms:
    mov %cs, %eax
    mov %eax, pointer + 4
    mov %esp, %ebp
    movl $1f, pointer
    lcall *pointer
2:  sub %esp, %ebp
    say "call: pushed cs="
    say_hex %ecx, 4
    say " eip off by "
    sub $2b, %edx
    say_hex %edx, 1
    say " bytes="
    say_hex %eax, 1
    say " esp after="
    say_hex %ebp, 1
    say "\n"
    jmp 3f
1:  mov %ebp, %eax
    sub %esp, %eax
    mov (%esp), %edx
    mov 4(%esp), %ecx
    lret
3:  mov %esp, %ebp
    pushl $1
    pushl $2
    movl $1f, pointer
    lcall *pointer
    sub %esp, %ebp
    say "ret 8: esp after="
    say_hex %ebp, 1
    say "\n"
    jmp 3f
1:  lret $8
3:  movl $1f, pointer
    ljmp *pointer
    say "not reached\n"
1:  say "jump: cs="
    mov %cs, %eax
    say_hex %eax, 4
    say "\n"
    ring_exit

forms_3:
    ljmp $0x38, $1f                          // RPL 0: CS gets the CPL
1:  mov %cs, %eax
    say "rpl 0: cs="
    say_hex %eax, 4
    lcall $BASED + 1, $based_1 - based
    say " by a segment with a base: cs="
    say_hex %eax, 4
    say " eip="
    say_hex %ecx
    // 16-bit operands: IP and CS by words.
    mov %esp, %ebp
    ljmp $BASED + 3, $based_2 - based
back_2:
    sub %esp, %ebp
    say "\ncallw: bytes="
    say_hex %eax, 1
    say " ip="
    say_hex %ecx, 4
    say " cs="
    say_hex %edx, 4
    say " esp after="
    say_hex %ebp, 1
    say "\n"
    pushl $0x19
    pushl $fine
    try "return to ring 1"
    lret
    end_try
    lea 8(%esp), %esp
    ring_exit

based:
    .skip 16, 0xcc
based_1:
    call 1f
1:  popl %ecx
    mov %cs, %eax
    lret
based_2:
    lcallw $BASED + 3, $based_3 - based
    ljmp $CODE(3), $back_2
based_3:
    mov %ebp, %eax
    sub %esp, %eax
    mov (%esp), %ecx
    mov 2(%esp), %edx
    lretw

faults:
    try "jump to a null selector"
    ljmp $0, $0
    end_try
    try "to ring 0, rpl 0"
    ljmp $0x08, $1f
1:  end_try
    try "to ring 0, rpl 3"
    ljmp $0x0b, $fine
    end_try
    try "to ring 1"
    ljmp $0x19, $fine
    end_try
    try "to ring 3"
    ljmp $0x3b, $1f
1:  end_try
    try "call of data"
    lcall $0x43, $fine
    end_try
    try "out of no ldt"
    ljmp $0x0f, $fine
    end_try
    try "beyond the table"
    ljmp $0x1fb, $fine
    end_try
    try "a free place"
    ljmp $FREE(30) + 3, $fine
    end_try
    try "not present"
    ljmp $ABSENT + 3, $fine
    end_try
    try "call beyond the limit"
    lcall $SHORT + 3, $0x1000
    end_try
    mov %esp, %ebp
    pushl $0
    pushl $fine
    try "return to a null selector"
    lret
    end_try
    movl $0x0b, 4(%esp)
    try "return to ring 0's code, rpl 3"
    lret
    end_try
    mov %ebp, %esp
    ring_exit
fine:
    ud2

outer_return:
    mov $0x43, %eax
    mov %eax, %ds
    mov $0x10, %eax
    mov %eax, %es
    imul $0x11, %edi, %ecx
    lea DATA(0)(%ecx), %eax
    pushl %eax
    mov %edi, %edx
    shl $12, %edx
    lea ring_stacks - 32(%edx), %edx
    pushl %edx
    pushl $0x5a5a5a5a                        // two parameters
    pushl $0x5a5a5a5a
    lea CODE(0)(%ecx), %eax
    pushl %eax
    pushl $arrived
    lret $8
arrived:
    say "cs="
    mov %cs, %eax
    say_hex %eax, 4
    say " ss="
    mov %ss, %eax
    say_hex %eax, 4
    say " esp=stack-"
    mov %edi, %eax
    shl $12, %eax
    add $ring_stacks, %eax
    sub %esp, %eax
    say_hex %eax, 2
    say " ds="
    mov %ds, %eax
    say_hex %eax, 4
    say " es="
    mov %es, %eax
    say_hex %eax, 4
    say "\n"
    ring_exit

.macro bad_return text, cs, eip, ss
    pushl \ss
    pushl $ring_stacks + 0x3000
    pushl \cs
    pushl \eip
    try "\text"
    lret
    end_try
    lea 16(%esp), %esp
.endm

bad_returns:
    bad_return "ss null", $0x3b, $fine, $0
    bad_return "ss of ring 2", $0x3b, $fine, $0x32
    bad_return "ss with rpl 0", $0x3b, $fine, $0x40
    bad_return "ss of code", $0x3b, $fine, $0x3b
    bad_return "ss not present", $0x3b, $fine, $ABSENT_STACK+3
    bad_return "cs of dpl 3, rpl 2", $0x3a, $fine, $0x42
    bad_return "cs of dpl 0, rpl 3", $0x0b, $fine, $0x13
    bad_return "cs of data", $0x43, $fine, $0x43
    bad_return "cs not present", $ABSENT+3, $fine, $0x43
    bad_return "eip beyond the limit", $SHORT+3, $0x1000, $0x43
    ring_exit

    .data
    .balign 4
pointer: .long 0, 0
