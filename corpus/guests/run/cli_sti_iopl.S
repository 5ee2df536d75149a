// SPDX-License-Identifier: Apache-2.0
// Where do CLI and STI fault, and what do they change, at each CPL and IOPL? cli_sti_iopl.md.
#include "runtime.inc"

    .globl guest
guest:
    xor %edi, %edi                           // CPL
1:  xor %esi, %esi                           // IOPL
2:  say "cpl="
    say_hex %edi, 1
    say " iopl="
    say_hex %esi, 1
    say "\n"
    mov %esi, %edx
    shl $12, %edx
    or $2, %edx
    in_ring %edi, $do_sti, %edx
    or $FLAG_IF, %edx
    in_ring %edi, $do_cli, %edx
    inc %esi
    cmp $4, %esi
    jb 2b
    inc %edi
    cmp $4, %edi
    jb 1b
    pass

do_sti:
    try "sti"
    sti
    end_try
    jmp show
do_cli:
    try "cli"
    cli
    end_try
show:
    pushfl
    popl %eax
    say " "
    say_hex %eax
    say "\n"
    ring_exit
