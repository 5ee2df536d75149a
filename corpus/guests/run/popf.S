// SPDX-License-Identifier: Apache-2.0
// Which bits of EFLAGS does POPF change at each CPL and IOPL? popf.md.
#include "runtime.inc"

#define ONES 0xfffffeff                      // every bit but TF
#define ALL_SET (0x247ed7 & ~IOPL(3))        // what can be set and is not IOPL

    .globl guest
guest:
    xor %esi, %esi                           // CPL
1:  xor %edi, %edi                           // IOPL
2:  say "cpl="
    say_hex %esi, 1
    say " iopl="
    say_hex %edi, 1
    mov %edi, %ebp
    shl $12, %ebp
    lea 2(%ebp), %edx                        // before writing ones: every flag clear
    lea ALL_SET(%ebp), %ebx                  // before writing zeros: every flag set
    in_ring %esi, $popfl_ones, %edx
    say " popfl ones="
    say_hex result
    in_ring %esi, $popfl_zeros, %ebx
    say " zeros="
    say_hex result
    in_ring %esi, $popfw_ones, %edx
    say " popfw ones="
    say_hex result
    in_ring %esi, $popfw_zeros, %ebx
    say " zeros="
    say_hex result
    say "\n"
    inc %edi
    cmp $4, %edi
    jb 2b
    inc %esi
    cmp $4, %esi
    jb 1b
    pass

popfl_ones:
    pushl $ONES
    popfl
    jmp show
popfl_zeros:
    pushl $0
    popfl
    jmp show
popfw_ones:
    pushw $ONES & 0xffff
    popfw
    jmp show
popfw_zeros:
    pushw $0
    popfw
show:
    pushfl
    popl result
    ring_exit

    .bss
    .balign 4
result: .skip 4
