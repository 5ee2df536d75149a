// SPDX-License-Identifier: Apache-2.0
// A kernel that moves its own code while it runs, with paging on: the copies run as the original. See code_copied.md.
#include "runtime.inc"

#define NEAR 0x300000                        // the same offset in its page
#define ODD 0x303211                         // another one
#define PARTS 32

// Long enough without a sensitive instruction, and far enough from the next, to be worth running natively.
    .macro idle
    mov $5000, %ebp
9:  dec %ebp
    jnz 9b
    .skip 32, 0x90
    .endm

    .globl guest
guest:
    call paging_on
    say "original\n"
    call run
    say "copy on another page\n"
    mov $piece, %esi
    and $0xfff, %esi
    lea NEAR(%esi), %edi
    call move
    say "copy of the copy, at an odd address\n"
    mov $ODD, %edi
    call move
    say "back again\n"
    mov $piece, %edi
    call move
    ret

// Copies the code from where it is to EDI, spoils where it was, and runs it there.
move:
    mov first, %esi
    mov %edi, first
    mov %esi, %ebx
    idle
    mov $piece_end - piece, %ecx
    rep movsb
    mov %ebx, %edi
    mov $piece_end - piece, %ecx
    mov $0xf4, %al                           // HLT
    rep stosb

// Runs it, and prints what it has counted.
run:
    call *first
    say "turns "
    say_hex %eax, 4
    say ", IF seen "
    say_hex %edx, 4
    say "\n"
    ret

    .data
    .balign 4
first: .long piece

// Sensitive instructions of many kinds, next to each other. EAX counts the turns that end well, EDX how often IF was set.
    .text
    .balign 4096
    .skip 200
piece:
    xor %eax, %eax
    xor %edx, %edx
    mov $PARTS, %ecx
1:  cli
    pushfl
    popl %ebx
    bt $9, %ebx
    adc $0, %edx                             // nothing
    pushfl
    orl $FLAG_IF, (%esp)
    popfl
    pushfl
    popl %ebx
    bt $9, %ebx
    adc $0, %edx                             // one
    cli
    mov %cr3, %ebx
    mov %ebx, %cr3
    mov %ds, %ebx
    mov %ebx, %ds
    smsw %bx
    str %bx
    sldt %bx
    idle
    mov %cs, %ebp
    cmp $CODE(0), %bp
    jne 2f
    inc %eax
2:  dec %ecx
    jnz 1b
    ret
piece_end:
    .balign 4096
