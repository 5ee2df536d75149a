// SPDX-License-Identifier: Apache-2.0
// What does IRET do to CS, SS, the data segments and EFLAGS on its way to each ring, and when does it fault? iret_rings.md.
#include "runtime.inc"

#define CONFORMING FREE(0)
#define NOT_PRESENT FREE(1)
#define ABSENT_STACK FREE(2)
#define READ_ONLY FREE(3)
#define SHORT_CODE FREE(4)
#define CODE16_BASE FREE(5)

.macro frame eip, cs, eflags=$2
    pushl \eflags
    pushl \cs
    pushl \eip
.endm
.macro outer_frame eip, cs, esp, ss
    pushl \ss
    pushl \esp
    frame \eip, \cs
.endm
// An IRET that must fault; takes the frame of `words` words off again.
.macro bad_iret words, text:vararg
    try \text
    iret
    end_try
    lea 4 * \words(%esp), %esp
.endm

    .globl guest
guest:
    set_descriptor CONFORMING, $0, $0xfffff, 0x9f, 0xc       // DPL 0
    set_descriptor NOT_PRESENT, $0, $0xfffff, 0x7b, 0xc      // code, DPL 3
    set_descriptor ABSENT_STACK, $0, $0xfffff, 0x73, 0xc     // data, DPL 3
    set_descriptor READ_ONLY, $0, $0xfffff, 0xf1, 0xc
    set_descriptor SHORT_CODE, $0, $0xfff, 0x9b, 0x4
    set_descriptor CODE16_BASE, $near_code, $0xffff, 0x9b, 0x4

    mov $1, %edi
1:  in_ring $0, $go_out
    inc %edi
    cmp $4, %edi
    jb 1b

    say "flags of iret with all ones but tf, vm, vif, vip\n"
    xor %edi, %edi
1:  in_ring %edi, $same_ring
    in_ring %edi, $same_ring, $2 | IOPL(3)
    inc %edi
    cmp $4, %edi
    jb 1b

    say "faults at ring 0\n"
    in_ring $0, $faults_at_0
    say "faults at ring 3\n"
    in_ring $3, $faults_at_3
    say "iretw\n"
    in_ring $0, $word_form
    pass

// To ring %edi with segments that stay and segments that must become null.
go_out:
    mov $0x43, %eax
    mov %eax, %ds
    mov $0x10, %eax
    mov %eax, %es
    mov $CONFORMING, %eax
    mov %eax, %fs
    mov $0x20, %eax
    mov %eax, %gs
    imul $0x11, %edi, %ecx
    lea DATA(0)(%ecx), %eax
    pushl %eax
    mov %edi, %edx
    shl $12, %edx
    lea ring_stacks - 16(%edx), %edx
    pushl %edx
    pushl $2
    lea CODE(0)(%ecx), %eax
    pushl %eax
    pushl $arrived
    iret
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
    say " fs="
    mov %fs, %eax
    say_hex %eax, 4
    say " gs="
    mov %gs, %eax
    say_hex %eax, 4
    say "\n"
    ring_exit

same_ring:
    pushfl
    popl %ebx
    mov %esp, %ebp
    pushl $0xffe5feff                       // VIF and VIP belong to VME, which is not there
    pushl %cs
    pushl $1f
    iret
1:  pushfl
    popl %eax
    sub %esp, %ebp
    pushl $2
    popfl
    say "cpl="
    say_hex %edi, 1
    say " before="
    say_hex %ebx
    say " after="
    say_hex %eax
    say " esp moved by "
    say_hex %ebp, 1
    say "\n"
    ring_exit

faults_at_0:
    frame $landed, $0
    bad_iret 3, "cs null"
    frame $landed, $3
    bad_iret 3, "cs null, rpl 3"
    frame $landed, $0x1f8
    bad_iret 3, "cs beyond the table"
    frame $landed, $0x0c
    bad_iret 3, "cs in no ldt"
    frame $landed, $0x10
    bad_iret 3, "cs of data"
    frame $landed, $TSS_SELECTOR
    bad_iret 3, "cs of a tss"
    frame $landed, $0x38
    bad_iret 3, "cs of dpl 3, rpl 0"
    frame $landed, $0x0b
    bad_iret 3, "cs of dpl 0, rpl 3"
    outer_frame $landed, $NOT_PRESENT + 3, $0, $0x43
    bad_iret 5, "cs not present"
    outer_frame $landed, $0x3b, $0, $0
    bad_iret 5, "ss null"
    outer_frame $landed, $0x3b, $0, $3
    bad_iret 5, "ss null, rpl 3"
    outer_frame $landed, $0x3b, $0, $0x40
    bad_iret 5, "ss with rpl 0"
    outer_frame $landed, $0x3b, $0, $0x33
    bad_iret 5, "ss of dpl 2, rpl 3"
    outer_frame $landed, $0x3b, $0, $READ_ONLY + 3
    bad_iret 5, "ss read-only"
    outer_frame $landed, $0x3b, $0, $0x3b
    bad_iret 5, "ss of code"
    outer_frame $landed, $0x3b, $0, $0x1fb
    bad_iret 5, "ss beyond the table"
    outer_frame $landed, $0x3b, $0, $ABSENT_STACK + 3
    bad_iret 5, "ss not present"
    frame $0x1000, $SHORT_CODE
    bad_iret 3, "eip beyond the limit"
    frame $landed, $8
    pushl $2 | FLAG_NT
    popfl
    bad_iret 3, "nt=1, no task to go back to"
    pushl $2
    popfl
    ring_exit
landed:
    say "not reached\n"
    ring_exit

faults_at_3:
    frame $landed, $0x08
    bad_iret 3, "to ring 0"
    frame $landed, $0x2a
    bad_iret 3, "to ring 2"
    frame $landed, $0x0b
    bad_iret 3, "cs of dpl 0, rpl 3"
    frame $landed, $0
    bad_iret 3, "cs null"
    frame $stays, $CONFORMING + 3
    try "to conforming code of dpl 0"
    iret
stays:
    end_try
    mov %cs, %eax
    say "cs="
    say_hex %eax, 4
    say "\n"
    ljmp $CODE(3), $1f
1:  ring_exit

// 16-bit frames: EIP gets its upper half cleared, EFLAGS keeps its own.
word_form:
    pushl $2 | FLAG_AC | FLAG_ID
    popfl
    mov %esp, %ebp
    pushw $0x0cd7
    pushw $CODE16_BASE
    pushw $word_arrived - near_code
    iretw
near_code:
    hlt
word_arrived:
    ljmp $CODE(0), $1f
1:  pushfl
    popl %eax
    sub %esp, %ebp
    say "eflags="
    say_hex %eax
    say " esp moved by "
    say_hex %ebp, 1
    say "\n"
    ring_exit
