// SPDX-License-Identifier: Apache-2.0
// Behind which instructions does the single-step trap come? single_step.md.
#include "runtime.inc"

    .globl guest
guest:
    set_gate 0x60, $return, 0xee
    hook 6, $skip_ud2
    xor %edi, %edi
1:  say "ring "
    say_hex %edi, 1
    say "\n"
    in_ring %edi, $kinds
    add $3, %edi
    cmp $6, %edi
    jb 1b
    say "ring 0 alone\n"
    in_ring $0, $privileged
    say "dr6, tf in the flags pushed, tf inside\n"
    in_ring $3, $once
    pass

return:
    iret
skip_ud2:
    addl $2, FRAME_EIP(%ebx)
    ret

kinds:
    trace "nop, two-byte mov, five-byte mov", "nop; mov %eax, %eax; mov $0, %eax"
    trace "jmp over two", "jmp 1f; nop; nop; 1: nop"
    trace "call, ret", "call 1f; jmp 2f; 1: ret; 2: nop"
    trace "conditional jump not taken, taken", "test %esp, %esp; jz 1f; jnz 1f; nop; 1: nop"
    mov $3, %ecx
    trace "loop, 3 rounds", "1: loop 1b; nop"
    mov $memory, %esi
    mov $memory + 16, %edi
    mov $3, %ecx
    trace "rep movsb, 3 bytes", "rep movsb; nop"
    mov $0, %ecx
    trace "rep movsb, no bytes", "rep movsb; nop"
    trace "pushf, popf with tf", "pushfl; popfl; nop"
    pushl $2
    trace "popf without tf, nop, nop", "popfl; nop; nop"
    pushl $2 | FLAG_TF
    popl memory
    trace "popf without tf, popf with tf, nop, nop", "pushl $2; popfl; pushl memory; popfl; nop; nop"
    pushl $2 | FLAG_TF
    pushl %cs
    pushl $1f
    trace "iret with tf", "iret; nop; 1: nop; nop"
    pushl $2
    pushl %cs
    pushl $1f
    trace "iret without tf", "iret; nop; 1: nop; nop"
    trace "int, nop, nop", "int $0x60; nop; nop"
    trace "cpuid", "push %ebx; cpuid; pop %ebx"
    trace "prefixes", "rep nop; .byte 0x66, 0x90; .byte 0x3e, 0x8b, 0xc0; nop"
    trace "pushf, pushed tf", "pushfl; popl %eax; nop"
    and $FLAG_TF, %eax
    say " tf="
    say_hex %eax, 3
    say "\n"
    trace "ud2, skipped by its handler, nop", "ud2; nop"
    ring_exit

privileged:
    trace "cli, nop", "cli; nop"
    trace "read and write cr0", "mov %cr0, %eax; mov %eax, %cr0; nop"
    trace "read and load cr3", "mov %cr3, %eax; mov %eax, %cr3; nop"
    trace "lgdt, sgdt", "lgdt gdt_pointer; sgdt memory; nop"
    trace "in, out", "in $0x80, %al; out %al, $0x80; nop"
    ring_exit

once:
    hook 1, $inspect
    pushl $2 | FLAG_TF
    popfl
    nop
    nop
    ring_exit

inspect:
    mov %dr6, %eax
    and $0xe00f, %eax                        // BT BS BD, B3-B0
    say_hex %eax, 4
    mov FRAME_EFLAGS(%ebx), %eax
    and $FLAG_TF, %eax
    say " "
    say_hex %eax, 3
    pushfl
    popl %eax
    and $FLAG_TF, %eax
    say " "
    say_hex %eax, 3
    say "\n"
    xor %eax, %eax
    mov %eax, %dr6
    andl $~FLAG_TF, FRAME_EFLAGS(%ebx)
    ret

    .bss
    .balign 4
memory: .skip 64
