// SPDX-License-Identifier: Apache-2.0
// Ring 3 that lives on INT 0x80: registers, flags, stacks and returns over many calls. user_int80.md.
#include "runtime.inc"

#define CALLS 20000

    .globl guest
guest:
    hook 0x80, $system_call
    movb $0xee, idt + 8 * 0x80 + 5
    call paging_on
    in_ring $3, $user
    say "calls in all="
    say_hex calls
    say "\n"
    pass

// Function in %eax: 0 add %ebx and %ecx; 1 the frame's CS; 2 its SS; 3 its EFLAGS; 4 its ESP; 5 the stack's depth; 6 return
// elsewhere; 7 nothing.
system_call:
    incl calls
    mov FRAME_EAX(%ebx), %eax
    jmp *functions(, %eax, 4)
add_two:
    mov FRAME_EBX(%ebx), %eax
    add FRAME_ECX(%ebx), %eax
    jmp give
give_cs:
    movzwl FRAME_CS(%ebx), %eax
    jmp give
give_ss:
    movzwl FRAME_SS(%ebx), %eax
    jmp give
give_flags:
    mov FRAME_EFLAGS(%ebx), %eax
    jmp give
give_esp:
    mov FRAME_ESP(%ebx), %eax
    jmp give
give_depth:
    mov tss + 4, %eax
    lea FRAME_SS + 4(%ebx), %ecx
    sub %ecx, %eax
    jmp give
go_elsewhere:
    movl $elsewhere, FRAME_EIP(%ebx)
    ret
nothing:
    ret
give:
    mov %eax, FRAME_EAX(%ebx)
    ret

user:
    mov $1, %eax
    int $0x80
    say "cs="
    say_hex %eax, 4
    mov $2, %eax
    int $0x80
    say " ss="
    say_hex %eax, 4
    mov $4, %eax
    int $0x80
    sub %esp, %eax
    say " esp off by "
    say_hex %eax, 1
    mov $5, %eax
    int $0x80
    say " left on the inner stack="
    say_hex %eax, 1
    mov $3, %eax
    pushl $0x240cd5
    popfl
    int $0x80
    pushl $2
    popfl
    say " flags="
    say_hex %eax
    pushl $0x2408d5
    popfl
    mov $7, %eax
    int $0x80
    pushfl
    popl %eax
    say " behind="
    say_hex %eax
    say "\n"

    // A loop: 0 + 1 + ... through the kernel.
    xor %ebx, %ebx
    mov $CALLS, %ecx
1:  xor %eax, %eax
    int $0x80
    mov %eax, %ebx
    dec %ecx
    jnz 1b
    say "sum of 1 to "
    mov $CALLS, %edx
    say_hex %edx
    say " by int 80="
    say_hex %ebx
    say "\n"

    // Every other register is kept.
    mov $7, %eax
    mov $0x1b1b1b1b, %ebx
    mov $0x1c1c1c1c, %ecx
    mov $0x1d1d1d1d, %edx
    mov $0x15151515, %esi
    mov $0x1f1f1f1f, %edi
    mov $0x1e1e1e1e, %ebp
    int $0x80
    say "eax="
    say_hex %eax
    say " ebx="
    say_hex %ebx
    say " ecx="
    say_hex %ecx
    say " edx="
    say_hex %edx
    say " esi="
    say_hex %esi
    say " edi="
    say_hex %edi
    say " ebp="
    say_hex %ebp
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

    // The six bytes of a vdso: INT 0x80, POP EBP, POP EDX, POP ECX, RET.
    mov $0x20, %ecx
    pushl $1f
    pushl $0x3c3c3c3c
    pushl $0x3d3d3d3d
    pushl $0x3e3e3e3e
    xor %eax, %eax
    mov $0x10, %ebx
    jmp vdso
1:  say "through the vdso's tail: eax="
    say_hex %eax
    say " ebp="
    say_hex %ebp
    say " edx="
    say_hex %edx
    say " ecx="
    say_hex %ecx
    say "\n"
    // INT 0x80 right behind itself, and one that does not come back to where it was.
    mov $7, %eax
    int $0x80
    int $0x80
    int $0x80
    mov $6, %eax
    int $0x80
    say "not reached\n"
elsewhere:
    say "elsewhere\n"
    ring_exit

vdso:
    int $0x80
    popl %ebp
    popl %edx
    popl %ecx
    ret

    .section .rodata
    .balign 4
functions: .long add_two, give_cs, give_ss, give_flags, give_esp, give_depth, go_elsewhere, nothing

    .bss
    .balign 4
calls: .skip 4
