// SPDX-License-Identifier: Apache-2.0
// Interrupts into code full of sensitive instructions with hardly any room between jump targets. interrupted_code.md.
#include "runtime.inc"

#define TICKS 3000

// One instruction, whose address an interrupt may save.
.macro i insn:vararg
7:  \insn
    .pushsection .rodata.starts, "a"
    .long 7b
    .popsection
.endm

    .globl guest
guest:
    .pushsection .rodata.starts, "a"
starts:
    .popsection
    call paging_on
    hook IRQ(0), $on_tick
    call pic_init
    mov $0x34, %al
    out %al, $0x43
    mov $60, %al                             // every 50 microseconds
    out %al, $0x40
    xor %al, %al
    out %al, $0x40
    mov $0xfe, %al
    out %al, $0x21
    xor %ebp, %ebp
    sti
    call busy
    cli
    say "between instructions: "
    say_hex wrong
    say "\nrounds and results agree: "
    cmp %ebp, rounds
    sete %al
    movzbl %al, %eax
    say_hex %eax, 1
    say "\n"
    pass

// Where each tick came: at an instruction's first byte, or not.
on_tick:
    incl ticks
    mov FRAME_EIP(%ebx), %eax
    cmp $busy, %eax
    jb 3f
    cmp $busy_end, %eax
    jae 3f
    mov $starts, %edi
    mov $(starts_end - starts) / 4, %ecx
    repne scasl
    je 3f
    incl wrong
3:  mov $0x20, %al
    out %al, $0x20
    ret

// EBP counts the rounds in which SMSW, STR and MOV from CR0 are right. Each of them begins and ends at a jump target.
busy:
1:  i incl rounds
    i mov $0x11111111, %edx
    i mov $0x22222222, %esi
    i mov $0x33333333, %edi
2:  i smsw %eax
3:  i and $1, %eax
    i mov $0x44444444, %edx
    i mov $0x55555555, %esi
4:  i str %ecx
5:  i cmp $TSS_SELECTOR, %cx
    i sete %cl
    i and %ecx, %eax
    i mov $0x66666666, %edx
    i mov $0x77777777, %edi
6:  i mov %cr0, %ecx
8:  i and %ecx, %eax
    i mov $0x12345678, %edi
    i and $1, %eax
    i add %eax, %ebp
    i cmp $0x66666666, %edx
    i jne 2b
    i cmp $0x55555555, %esi
    i jne 3b
    i cmp $0x12345678, %edi
    i jne 4b
    i jne 5b
    i jne 6b
    i jne 8b
    i cmpl $TICKS, ticks
    i jb 1b
    i ret
busy_end:
    .data
ticks: .long 0
wrong: .long 0
rounds: .long 0
    .section .rodata.starts, "a"
starts_end:
