// SPDX-License-Identifier: Apache-2.0
// Faults without end. faults.md.
#include "hostile.inc"

#define OTHER_TASK FREE(0)

    .globl guest
guest:
    cases
    on again, again
    on again_ring3, again_ring3
    on page_fault, page_fault
    on task, task
    on nested, nested
    on no_stack, no_stack
    on no_table, no_table
    on alternate, alternate
    end_cases

// The handler comes back to the instruction that faults.
again:
    hook 6, $come_back
    run_natively
    ud2
come_back:
    ret
again_ring3:
    hook 13, $come_back
    in_ring $3, $halts
halts:
    run_natively
    hlt
page_fault:
    call paging_on
    hook 14, $come_back
    in_ring $3, $reads
reads:
    run_natively
    mov 0x40000000, %eax
// A double fault whose task goes back to the task that faults.
task:
    mov $other_stack_top, %eax
    mov %eax, other_tss + 56                 // ESP
    movl $in_other_task, other_tss + 32      // EIP
    movl $2, other_tss + 36
    movl $DATA(0), other_tss + 72            // ES, CS, SS, DS
    movl $CODE(0), other_tss + 76
    movl $DATA(0), other_tss + 80
    movl $DATA(0), other_tss + 84
    mov %cr3, %eax
    mov %eax, other_tss + 28
    set_descriptor OTHER_TASK, $other_tss, $0x67, 0x89, 0
    set_gate 8, $0, 0x85, OTHER_TASK
    set_gate 13, $0, 0x0e                    // absent: a second fault while the first is delivered
    set_gate 11, $0, 0x0e
    run_natively
    mov $0xfff0, %eax
    mov %eax, %ds
in_other_task:
    add $4, %esp                             // the error code
    iret
    jmp in_other_task
// A handler that faults itself: the stack goes down until there is none.
nested:
    call paging_on
    hook 14, $fault_too
    mov 0x40000000, %eax
fault_too:
    mov 0x40001000, %eax
no_stack:
    call paging_on
    xor %eax, %eax
    mov $0x50000000, %esp
    run_natively
    ud2
no_table:
    call paging_on
    lidt far_away
    run_natively
    ud2
// Two that answer each other.
alternate:
    hook 6, $to_divide
    hook 0, $to_undefined
    xor %ecx, %ecx
1:  ud2
2:  div %ecx
to_divide:
    movl $2b, FRAME_EIP(%ebx)
    ret
to_undefined:
    movl $1b, FRAME_EIP(%ebx)
    ret
    .data
far_away:
    .word 0x7ff
    .long 0x60000000
    .bss
    .balign 16
other_tss: .skip 0x68
    .balign 16
    .skip 4096
other_stack_top:
