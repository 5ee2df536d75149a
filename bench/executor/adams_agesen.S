// SPDX-License-Identifier: Apache-2.0
// What one operation costs, in cycles of the time-stamp counter: the operations that Adams and Agesen compare techniques by
// ("A Comparison of Software and Hardware Techniques for x86 Virtualization", ASPLOS 2006, section 6.3). Linked to the
// runtime of corpus/guests/run. Prints `NAME CYCLES` for each: the best of ROUNDS averages over a loop.
#include "runtime.inc"

#define ROUNDS 7
#define FREE_PAGE 0x700000                   // inside what paging_on maps
#define FREE_ENTRY (page_table + FREE_PAGE / 4096 * 4)

// Runs `code` `count` times, ROUNDS times over, and leaves the least total in `best`. `code` may change EAX
// and EDX and use ECX, ESI and EDI as they were before.
.macro measure count:req, code:vararg
    movl $-1, best
    movl $ROUNDS, rounds
881:
    rdtsc
    mov %eax, begun
    mov $\count, %ebp
882:
    \code
    dec %ebp
    jnz 882b
    rdtsc
    sub begun, %eax
    cmp best, %eax
    jae 883f
    mov %eax, best
883:
    decl rounds
    jnz 881b
.endm

.macro tell name:req, count:req              // with one decimal place
    say "\name "
    mov best, %eax
    mov $10, %edx
    mul %edx
    mov $\count, %ecx
    div %ecx
    xor %edx, %edx
    mov $10, %ecx
    div %ecx
    pushl %edx
    call put_decimal
    mov $'.', %al
    call putc
    popl %eax
    add $'0', %al
    call putc
    say "\n"
.endm

    .globl guest
guest:
    call paging_on

    measure 100000, call empty
    tell "callret", 100000

    measure 2000, in $0x80, %al              // no device of the guest's answers there
    tell "in", 2000

    mov %cr0, %esi
    measure 2000, mov %esi, %cr0
    tell "cr0wr", 2000

    set_gate 0x60, $return, 0xee
    in_ring $3, $call_system
    tell "syscall", 2000

    set_gate 14, $skip_fault, 0x8e
    movl $0, FREE_ENTRY
    invlpg FREE_PAGE
    mov $FREE_PAGE, %esi
    measure 1000, mov (%esi), %eax           // 2 bytes
    tell "pgfault", 1000

    set_gate 0, $skip_divide, 0x8e
    xor %ecx, %ecx
    measure 1000, div %ecx                   // 2 bytes
    tell "divzero", 1000

    // A bit that the processor leaves to software, of a page that is in use.
    movl $FREE_PAGE + 7, FREE_ENTRY
    invlpg FREE_PAGE
    mov FREE_PAGE, %eax
    measure 100000, xorl $0x200, FREE_ENTRY
    tell "ptemod", 100000

    // Another frame behind the page, and a read of it.
    measure 1000, call remap
    tell "ptemod-invlpg-read", 1000
    pass

call_system:
    measure 2000, int $0x60
    ring_exit
return:
    iret
empty:
    ret
skip_fault:
    lea 4(%esp), %esp
skip_divide:
    addl $2, (%esp)
    iret
remap:
    xorl $0x1000, FREE_ENTRY
    invlpg FREE_PAGE
    mov FREE_PAGE, %eax
    ret

// Sends %eax in decimal; changes EAX, ECX, EDX.
put_decimal:
    mov $10, %ecx
    xor %edx, %edx
    div %ecx
    pushl %edx
    test %eax, %eax
    jz 1f
    call put_decimal
1:  popl %eax
    add $'0', %al
    jmp putc

    .bss
    .balign 4
best: .skip 4
rounds: .skip 4
begun: .skip 4
