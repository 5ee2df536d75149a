// SPDX-License-Identifier: Apache-2.0
// Breakpoints that meet what holds debug exceptions back. breakpoint_shadows.md.
#include "runtime.inc"

#define ENABLE(n, type, length) ((1 << (2 * (n))) | ((type) << (16 + 4 * (n))) | ((length) << (18 + 4 * (n))))
#define EXECUTE(n) ENABLE(n, 0, 0)
#define WRITE(n) ENABLE(n, 1, 3)
#define ACCESS(n) ENABLE(n, 3, 3)

// Runs code with breakpoints and prints, for each #DB, the offset of the saved EIP, DR6's B0 to B3 and BS, and R where the saved EFLAGS has RF.
.macro watch text, dr7, code
    say "\text:"
    movl $771f, base
    mov $(\dr7) | 0x400, %eax
    mov %eax, %dr7
771:
    \code
    mov $0x400, %eax
    mov %eax, %dr7
    say "\n"
.endm

    .globl guest
guest:
    hook 1, $debug
    mov $memory, %esi
    mov %esi, %dr0
    mov %ss, %ax
    mov %ax, (%esi)
    watch "mov ss from it, nop, nop", ACCESS(0), "mov (%esi), %ss; nop; nop"
    watch "mov ds from it, nop, nop", ACCESS(0), "mov (%esi), %ds; nop; nop"
    mov $far + 4, %eax
    mov %eax, %dr0
    watch "lss, the selector from it, nop, nop", ACCESS(0), "mov %esp, far; lss far, %esp; nop; nop"
    mov %esi, %dr0
    mov $1f, %eax
    mov %eax, %dr1
    watch "mov ss, then an instruction with a breakpoint", EXECUTE(1), "mov (%esi), %ss; 1: nop; nop"
    mov $1f, %eax
    mov %eax, %dr1
    watch "nop, then an instruction with a breakpoint", EXECUTE(1), "nop; 1: nop; nop"
    mov $1f, %eax
    mov %eax, %dr1
    watch "sti, then an instruction with a breakpoint", EXECUTE(1), "sti; 1: nop; cli"
    mov $memory - 8, %edi
    mov $4, %ecx
    mov $memory + 64, %esi
    watch "rep movsl over it", WRITE(0), "rep movsl; nop"
    mov $memory - 8, %edi
    mov $3, %ecx
    mov $memory + 64, %esi
    watch "rep movsl that ends with it", WRITE(0), "rep movsl; nop"
    mov $memory - 8, %edi
    mov $4, %ecx
    mov $memory + 64, %esi
    watch "rep movsl, step by step", WRITE(0), "pushl $0x102; popf; rep movsl; pushl $2; popf; nop"
    pass

debug:
    mov $' ', %al
    call putc
    mov FRAME_EIP(%ebx), %eax
    sub base, %eax
    cmp $0x40, %eax                          // ff: somewhere else
    jb 1f
    mov $0xff, %eax
1:  mov $2, %ecx
    call put_hex
    mov $'/', %al
    call putc
    mov %dr6, %eax
    and $0x400f, %eax
    mov $4, %ecx
    call put_hex
    testl $FLAG_RF, FRAME_EFLAGS(%ebx)
    jz 1f
    mov $'R', %al
    call putc
1:  xor %eax, %eax
    mov %eax, %dr6
    orl $FLAG_RF, FRAME_EFLAGS(%ebx)         // past the breakpoint
    ret

    .data
    .balign 16
far: .long 0, DATA(0)
    .bss
    .balign 64
    .skip 64
memory: .skip 128
base: .skip 4
