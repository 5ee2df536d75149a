// SPDX-License-Identifier: Apache-2.0
// The host's system calls, asked for from 64-bit code and from code beside it. host_calls.md.
#include "hostile.inc"

    .globl guest
guest:
    .pushsection .rodata.calls, "a"
call_table:
    .popsection
    cases
    // name, number, and the arguments that would do harm where the call is answered
    .macro call64 name, number, a=0, b=0, c=0, d=0, e=0, f=0
    on "\name", ask64
    .pushsection .rodata.calls, "a"
    .long \number, \a, \b, \c, \d, \e, \f
    .popsection
    .endm
    call64 openat, 257, -100, secret, 0
    call64 open, 2, secret, 2
    call64 creat, 85, fresh, 0644
    call64 unlink, 87, secret
    call64 rename, 82, secret, fresh
    call64 truncate, 76, secret, 0
    call64 socket, 41, 1, 1, 0
    call64 connect, 42, 0, address, 16
    call64 sendto, 44, 1, secret, 8
    call64 fork, 57
    call64 vfork, 58
    call64 clone, 56, 17
    call64 clone3, 435, arguments, 88
    call64 execve, 59, shell, arguments, arguments
    call64 kill_everybody, 62, -1, 0
    call64 kill_group, 62, 0, 0
    call64 tkill, 200, 1, 0
    call64 tgkill, 234, 1, 1, 0
    call64 ptrace, 101, 16, 1
    call64 process_vm_readv, 310, 1, arguments, 1, arguments, 1
    call64 process_vm_writev, 311, 1, arguments, 1, arguments, 1
    call64 pidfd_open, 434, 1
    call64 ioctl_sti, 16, 0, 0x5412, secret
    call64 fcntl, 72, 1, 4, 0
    call64 dup, 32, 1
    call64 lseek, 8, 1, 0, 0
    call64 pwrite64, 18, 1, secret, 4, 0
    call64 pwritev, 296, 1, arguments, 1
    call64 ftruncate, 77, 1, 0
    call64 fallocate, 285, 1, 0, 0, 0x100000
    call64 sendfile, 40, 1, 0, 0, 4096
    call64 splice, 275, 0, 0, 1, 0, 4096
    call64 write_input, 1, 0, secret, 4
    call64 read_output, 0, 1, arguments, 4
    call64 memfd_create, 319, secret
    call64 prctl_dumpable, 157, 4, 1
    call64 arch_prctl, 158, 0x1002, 0
    call64 prlimit, 302, 0, 7, arguments
    call64 personality, 135, 0x0400000
    call64 seccomp, 317, 0
    call64 setuid, 105
    call64 setns, 308, 0
    call64 unshare, 272, 0x10000000
    call64 mount, 165, secret, secret
    call64 chroot, 161, shell
    call64 bpf, 321
    call64 perf_event_open, 298, arguments
    call64 userfaultfd, 323
    call64 io_uring_setup, 425, 1, arguments
    call64 keyctl, 250
    call64 add_key, 248, secret, secret
    call64 inotify_init, 253
    call64 shmget, 29, 0, 4096, 01600
    call64 sigaction, 13, 11, 0, 0, 8
    call64 sigaltstack, 131
    call64 timer_create, 222, 1
    call64 sleep, 35, arguments
    call64 exit_thread, 60, 0
    call64 mmap_code, 9, 0, 4096, 7, 0x22, -1
    call64 mmap_low, 9, 0x20000000, 4096, 3, 0x32, -1
    call64 mprotect_code, 10, 0x100000, 4096, 7
    call64 madvise_poison, 28, 0x300000, 4096, 100
    call64 madvise_remove, 28, 0x300000, 4096, 9
    call64 futex_pi, 202, arguments, 6
    call64 modify_ldt_old, 154, 1, arguments, 16
    call64 x32_read, 0x40000000, 0, arguments, 1
    call64 x32_execve, 0x40000208, shell, arguments, arguments
    call64 no_such_call, 9999
    call64 minus_one, -1
    on "int80_open", int80_open
    on "int80_kill", int80_kill
    on "compat_int80", compat_int80
    on "compat_syscall", compat_syscall
    end_cases

ask64:
    sub $case_table, %ebp                    // the row: 12 bytes in the one table, 28 in the other
    mov %ebp, %eax
    xor %edx, %edx
    mov $12, %ecx
    div %ecx
    imul $28, %eax, %esi
    add $call_table, %esi
    mov $request, %edi
    mov $7, %ecx
    rep movsl
    mov $wide_ask, %esi
    jmp leave
int80_open:
    mov $wide_int80_open, %esi
    jmp leave
int80_kill:
    mov $wide_int80_kill, %esi
    jmp leave
compat_int80:
    mov $wide_compat, %esi
    movl $beside_int80, beside
    jmp leave
compat_syscall:
    mov $wide_compat, %esi
    movl $beside_syscall, beside
leave:
    mov %esi, goal
    big_page
    run_natively
    movl $1, arguments + 128
    call code_page
    call compat_page
    hidden_far_jump wide_entry

    wide_page code_page
wide_entry:
    mov $request, %ebp
    mov goal - request(%rbp), %eax
    jmp *%rax
wide_ask:
    movslq (%rbp), %rax
    movslq 4(%rbp), %rdi
    movslq 8(%rbp), %rsi
    movslq 12(%rbp), %rdx
    movslq 16(%rbp), %r10
    movslq 20(%rbp), %r8
    movslq 24(%rbp), %r9
    syscall
    jmp answered
wide_int80_open:
    mov $hidden_int80, %r15d
    mov $5, %eax
    mov $secret, %ebx
    mov $2, %ecx
    jmp *%r15
wide_int80_kill:
    mov $hidden_int80, %r15d
    mov $37, %eax
    mov $-1, %ebx
    xor %ecx, %ecx
    jmp *%r15
wide_compat:                                 // on in a 32-bit segment of the host's, whose code nobody has looked at
    mov beside - request(%rbp), %eax
    push $0x23
    push %rax
    mov $hidden_lretq, %eax
    jmp *%rax
answered:                                    // it was: a number that is nowhere else, and an end that says so
    mov $231, %eax
    mov $99, %edi
    syscall
    hlt
    .byte 0xB8                               // each in the immediate of a MOV, where nobody sees it
hidden_int80:
    .byte 0xCD, 0x80, 0xFF, 0xE3             // int $0x80
    .byte 0xB8
hidden_lretq:
    .byte 0x48, 0xCB, 0x90, 0x90             // lretq
    end_wide_page

    wide_page compat_page
    .code32
beside_int80:
    mov $5, %eax
    mov $secret, %ebx
    mov $2, %ecx
    .byte 0xEB, 0x01, 0xB8                   // jmp over the head of a MOV
    .byte 0xCD, 0x80, 0x0F, 0x0B             // int $0x80; ud2
beside_syscall:
    mov $5, %eax
    mov $secret, %ebx
    mov $2, %ecx
    .byte 0xEB, 0x01, 0xB8
    .byte 0x0F, 0x05, 0x0F, 0x0B             // syscall; ud2
    end_wide_page

    .section .data
    .balign 4096
goal: .long 0
beside: .long 0
request: .skip 28
    .balign 16
secret: .asciz "canary"
fresh: .asciz "made-by-a-guest"
shell: .asciz "/bin/sh"
address: .word 1
    .asciz "canary-socket"
    .balign 64
arguments: .skip 256
