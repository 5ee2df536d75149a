// SPDX-License-Identifier: Apache-2.0
// The entry of the workload, and the ways into the kernel that C has no word for. For i386 and x86-64.

    .text
    .globl _start
#ifdef __x86_64__
_start:
    mov %rsp, %rdi
    and $-16, %rsp
    call workload
    .globl restore_signal
restore_signal:                              // x86-64 has none of its own for handlers to return to
    mov $15, %eax                            // rt_sigreturn
    syscall
#else
_start:
    mov %esp, %eax
    and $-16, %esp
    sub $12, %esp
    pushl %eax
    call workload
    .globl int80
int80:
    int $0x80
    ret
#endif
    .section .note.GNU-stack, "", @progbits
