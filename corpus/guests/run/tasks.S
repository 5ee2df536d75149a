// SPDX-License-Identifier: Apache-2.0
// Task switches by jump, call, interrupt and return: what is saved and loaded, busy bits, links, NT, TS, faults. tasks.md.
#include "runtime.inc"

#define OTHER FREE(0)
#define TASK_GATE FREE(1)
#define ABSENT FREE(2)
#define SHORT FREE(3)
#define USER_TSS FREE(4)
#define LOCAL FREE(5)
#define T_EIP 32
#define T_EFLAGS 36
#define T_EAX 40
#define T_ESP 56
#define T_ES 72
#define T_CS 76
#define T_SS 80
#define T_DS 84
#define T_LDT 96

.macro busy_bits
    mov gdt + TSS_SELECTOR + 5, %al
    say " types="
    say_hex %eax, 2
    mov gdt + OTHER + 5, %al
    say " "
    say_hex %eax, 2
.endm
.macro ts_and_nt
    mov %cr0, %eax
    shr $3, %eax
    and $1, %eax
    say " ts="
    say_hex %eax, 1
    clts
    pushfl
    popl %eax
    shr $14, %eax
    and $1, %eax
    say " nt="
    say_hex %eax, 1
.endm

    .globl guest
guest:
    set_descriptor OTHER, $other, $0x67, 0x89, 0
    set_call_gate TASK_GATE, OTHER, $0, 0xe5
    set_descriptor ABSENT, $other, $0x67, 0x09, 0
    set_descriptor SHORT, $other, $0x66, 0x89, 0
    set_descriptor USER_TSS, $user_tss, $0x67, 0x89, 0
    set_descriptor LOCAL, $ldt, $15, 0x82, 0
    movl $page_directory, tss + 28
    in_ring $0, $jump
    in_ring $0, $call_and_return
    in_ring $0, $by_gates
    in_ring $0, $to_ring_3
    in_ring $0, $faults
    pass

// Makes `other` ready to run at %eax.
prepare:
    push %eax
    push %ecx
    push %edi
    push %eax
    xor %eax, %eax
    mov $other, %edi
    mov $26, %ecx
    rep stosl
    pop %eax
    mov %eax, other + T_EIP
    movl $2, other + T_EFLAGS
    movl $other_stack, other + T_ESP
    movl $0x0000aaaa, other + T_EAX
    movl $0x0000cccc, other + T_EAX + 4
    movl $CODE(0), other + T_CS
    movl $DATA(0), other + T_DS
    movl $DATA(0), other + T_ES
    movl $DATA(0), other + T_SS
    movl $LOCAL, other + T_LDT
    movl $page_directory, other + 28
    movb $0x89, gdt + OTHER + 5
    pop %edi
    pop %ecx
    pop %eax
    ret

jump:
    say "jump:"
    busy_bits
    mov $jumped_to, %eax
    call prepare
    mov $0x12345678, %edx
    mov %esp, saved_esp
    pushl $2 | FLAG_CF
    popfl
    ljmp $OTHER, $0
    pushfl                                   // back, by the other's jump
    popl %ecx
    busy_bits
    ts_and_nt
    say " edx="
    say_hex %edx
    say " flags="
    say_hex %ecx
    say " esp off by "
    sub saved_esp, %esp
    mov %esp, %ecx
    mov saved_esp, %esp
    say_hex %ecx, 1
    say "\n"
    ring_exit
jumped_to:
    push %eax
    push %ecx
    say "\n in the other:"
    busy_bits
    ts_and_nt
    pop %ecx
    pop %eax
    say " eax="
    say_hex %eax
    say " ecx="
    say_hex %ecx
    str %eax
    say " tr="
    say_hex %eax, 4
    sldt %eax
    say " ldtr="
    say_hex %eax, 4
    mov other, %eax
    say " link="
    say_hex %eax, 4
    mov tss + T_EAX + 8, %eax
    say "\n saved: edx="
    say_hex %eax
    mov tss + T_EFLAGS, %eax
    say " flags="
    say_hex %eax
    movzwl tss + T_CS, %eax
    say " cs="
    say_hex %eax, 4
    mov tss + T_ESP, %eax
    sub saved_esp, %eax
    say " esp off by "
    say_hex %eax, 1
    say "\n back:"
    ljmp $TSS_SELECTOR, $0

call_and_return:
    say "call:"
    mov $called, %eax
    call prepare
    mov $2, %edi
1:  lcall $OTHER, $0
    busy_bits
    ts_and_nt
    mov other + T_EFLAGS, %eax
    and $FLAG_NT, %eax
    say " saved nt="
    say_hex %eax, 4
    say "\n"
    dec %edi
    jnz 1b
    ring_exit
called:
    say "\n in the other:"
    busy_bits
    ts_and_nt
    movzwl other, %eax
    say " link="
    say_hex %eax, 4
    say " calls="
    incl other_calls
    say_hex other_calls, 1
    say "\n returned:"
    iret
    jmp called                               // the next call goes on here

by_gates:
    say "task gate:"
    mov $called_once, %eax
    call prepare
    lcall $TASK_GATE, $0
    busy_bits
    ts_and_nt
    say "\n"
    // An interrupt, and an exception with an error code on the new task's stack.
    mov $called_once, %eax
    call prepare
    set_gate 0x60, $0, 0x85, OTHER
    say "int 60:"
    int $0x60
    busy_bits
    ts_and_nt
    say "\n"
    mov $fault_task, %eax
    call prepare
    mov idt + 8 * 13, %eax
    mov %eax, saved_gate
    mov idt + 8 * 13 + 4, %eax
    mov %eax, saved_gate + 4
    set_gate 13, $0, 0x85, OTHER
    say "#GP by a task gate:"
    mov $TSS_SELECTOR, %eax
    mov %eax, %ds
    mov $DATA(0), %eax
    mov %eax, %ds
    say " went on\n"
    mov saved_gate, %eax
    mov %eax, idt + 8 * 13
    mov saved_gate + 4, %eax
    mov %eax, idt + 8 * 13 + 4
    ring_exit
called_once:
    movzwl other, %eax
    say " link="
    say_hex %eax, 4
    ts_and_nt
    iret
fault_task:
    popl %eax
    say " error="
    say_hex %eax
    mov %esp, %eax
    sub $other_stack, %eax
    say " stack off by "
    say_hex %eax, 1
    addl $2, tss + T_EIP                     // past the two bytes of the load
    iret

// A task at ring 3 with an LDT; INT 0x61 leads to the ring 0 stack that its own TSS names.
to_ring_3:
    say "to ring 3:"
    mov $tss, %esi
    mov $user_tss, %edi
    mov $26, %ecx
    rep movsl
    movl $user_task, user_tss + T_EIP
    movl $2 | IOPL(1), user_tss + T_EFLAGS
    movl $ring_stacks + 0x3000, user_tss + T_ESP
    movl $CODE(3), user_tss + T_CS
    movl $DATA(3), user_tss + T_DS
    movl $DATA(3), user_tss + T_ES
    movl $DATA(3), user_tss + T_SS
    movl $0, user_tss + T_SS + 8
    movl $0, user_tss + T_SS + 12
    movl $other_stack, user_tss + 4
    movw $LOCAL, user_tss + T_LDT
    hook 0x61, $from_user
    movb $0xee, idt + 8 * 0x61 + 5
    lcall $USER_TSS, $0
    say " back"
    ts_and_nt
    say "\n"
    ring_exit
user_task:
    mov %cs, %eax
    say " cs="
    say_hex %eax, 4
    pushfl
    popl %eax
    say " flags="
    say_hex %eax
    mov $4 + 3, %eax                         // its own LDT
    mov %eax, %fs
    mov %fs:0, %al
    say " through its ldt="
    say_hex %eax, 2
    int $0x61
from_user:
    lea FRAME_SS + 4(%ebx), %eax
    sub $other_stack, %eax
    say " ring 0 stack off by "
    say_hex %eax, 1
    orl $FLAG_NT, FRAME_EFLAGS(%ebx)
    pushfl
    orl $FLAG_NT, (%esp)
    popfl
    iret                                     // NT: to the task that called

faults:
    say "faults\n"
    mov $called_once, %eax
    call prepare
    try "jump to the busy task itself"
    ljmp $TSS_SELECTOR, $0
    end_try
    try "call of the busy task itself"
    lcall $TSS_SELECTOR, $0
    end_try
    try "not present"
    ljmp $ABSENT, $0
    end_try
    try "limit 66"
    ljmp $SHORT, $0
    end_try
    try "rpl 3, dpl 0"
    ljmp $OTHER + 3, $0
    end_try
    mov $OTHER, %eax
    try "ltr of a task that is not busy"
    ltr %ax
    end_try
    try "ltr again: it is busy now"
    ltr %ax
    end_try
    movb $0x89, gdt + TSS_SELECTOR + 5
    mov $TSS_SELECTOR, %eax
    try "ltr back"
    ltr %ax
    end_try
    mov $0x10, %eax
    try "ltr of data"
    ltr %ax
    end_try
    mov $ABSENT, %eax
    try "ltr, not present"
    ltr %ax
    end_try
    xor %eax, %eax
    try "ltr of a null selector"
    ltr %ax
    end_try
    ring_exit

    .data
    .balign 128
other: .skip 104
    .balign 128
user_tss: .skip 104
    .balign 8
ldt:
    descriptor 0x100000, 0xfff, 0xf3, 0x4    // 07: where the guest begins
    .quad 0
saved_gate: .quad 0
saved_esp: .long 0
other_calls: .long 0
    .bss
    .balign 16
    .skip 1024
other_stack:
