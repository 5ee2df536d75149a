// SPDX-License-Identifier: Apache-2.0
// Which loads of SS hold back the single-step trap behind them? movss_shadow.md.
#include "runtime.inc"

    .globl guest
guest:
    xor %edi, %edi
1:  say "ring "
    say_hex %edi, 1
    say "\n"
    mov %esp, stack_pointer
    in_ring %edi, $loads
    add $3, %edi
    cmp $6, %edi
    jb 1b
    pass

loads:
    mov %ss, %eax
    mov %esp, stack_pointer
    mov %ss, stack_pointer + 4
    trace "nop, nop", "nop; nop"
    trace "mov ss, nop, nop", "mov %eax, %ss; nop; nop"
    trace "mov ss from memory, nop", "mov stack_pointer + 4, %ss; nop"
    trace "push ss, pop ss, nop, nop", "pushl %ss; popl %ss; nop; nop"
    trace "lss, nop", "lss stack_pointer, %esp; nop"
    trace "mov ds, nop", "mov %eax, %ds; nop"
    trace "mov ss, mov esp, nop", "mov %eax, %ss; mov %ebp, %ebp; nop"
    trace "mov ss, jmp, nop", "mov %eax, %ss; jmp 1f; nop; 1: nop"
    trace "mov ss, nop, mov ss, nop", "mov %eax, %ss; nop; mov %eax, %ss; nop"
    ring_exit

    .bss
    .balign 4
stack_pointer: .skip 8
