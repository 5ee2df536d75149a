// SPDX-License-Identifier: Apache-2.0
// User code that is single-stepped over its system calls. step_system_call.md.
#include "runtime.inc"

    .globl guest
guest:
    movb $0xee, idt + 8 * 0x80 + 5           // DPL 3
    hook 0x80, $answer
    call paging_on
    in_ring $3, $user
    pass
answer:
    incl calls
    ret
user:
    mov $2000, %ecx
1:  call *function                           // often enough that an executor knows the place
    loop 1b
    say "calls "
    say_hex calls
    say "\n"
    say "steps:"
    hook 1, $step
    pushl $FLAG_TF | 2
    popfl
    call *function
    pushl $2
    popfl
    say "\ncalls "
    say_hex calls
    say "\n"
    mov $100, %ecx
1:  call *function
    loop 1b
    say "calls "
    say_hex calls
    say "\n"
    ring_exit
step:
    mov FRAME_EIP(%ebx), %eax
    sub $system_calls, %eax
    cmp $64, %eax
    jae 1f
    push %eax
    mov $' ', %al
    call putc
    pop %eax
    mov $2, %ecx
    call put_hex
1:  ret
    .balign 4096
system_calls:
    mov $20, %eax
    int $0x80
    mov $30, %eax
    mov %eax, %edx
    int $0x80
    nop
    nop
    nop
    nop
    nop
    ret
    .balign 4096
    .data
function: .long system_calls
calls: .long 0
