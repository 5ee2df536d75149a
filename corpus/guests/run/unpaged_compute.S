// SPDX-License-Identifier: Apache-2.0
// Is code without paging that computes for long still exact about its own bytes? unpaged_compute.md.
#include "runtime.inc"

#define ROUNDS 100000000                     // of a loop of two instructions

    .globl guest
guest:
    call compute
    say "computed "
    say_hex %eax
    say "\nsensitive code reads "
    say_hex sensitive
    say "\n"

    movl $0x22222222, computed + 1
    call compute
    say "changed from elsewhere "
    say_hex %eax
    say "\n"

    call change_itself
    say "changed by itself "
    say_hex %eax
    say "\n"

    call compute_around
    say "around sensitive code "
    say_hex %eax
    say "\nsensitive code reads "
    say_hex sensitive
    say "\n"
    pass

    .balign 4
sensitive:
    cli
    nop
    nop
    nop
    inc %eax
    ret

// Pages of their own, without a sensitive instruction.
    .balign 4096
compute:
    call compute_only
computed:
    mov $0x11111111, %eax
    ret

compute_only:
    mov $ROUNDS, %ecx
1:  dec %ecx
    jnz 1b
    ret

compute_around:
    xor %eax, %eax
    mov $5, %edx
1:  call compute_only
    call sensitive
    dec %edx
    jnz 1b
    ret

    .balign 4096
change_itself:
    mov $ROUNDS, %ecx
1:  dec %ecx
    jnz 1b
    movl $0x33333333, own + 1
    jmp own
own:
    mov $0, %eax
    ret
    .balign 4096
