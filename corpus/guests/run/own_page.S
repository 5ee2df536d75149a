// SPDX-License-Identifier: Apache-2.0
// x87 and SSE instructions that store into the page that they lie on. own_page.md.
#include "runtime.inc"

    .globl guest
guest:
    mov $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    mov %eax, %cr4
    in_ring $0, $work
    in_ring $3, $work
    movl $0x87, directory                    // 4 MiB for everybody
    mov $CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PSE, %eax
    mov %eax, %cr4
    mov $directory, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    in_ring $0, $work
    in_ring $3, $work
    pass

    .balign 4096
work:
    xor %ecx, %ecx
    .fill 64, 1, 0x90                        // far enough from what is sensitive that the processor runs it
1:  fninit
    movw $0x5a5a, status
    fnstsw status
    fnstcw control
    movups status, %xmm0
    movups %xmm0, other
    movups %xmm0, across
    inc %ecx
    cmp $10, %ecx
    jb 1b
    .fill 64, 1, 0x90
    say "status "
    say_hex status, 4
    say " control "
    say_hex control, 4
    say " stored "
    say_hex other
    say " across two pages "
    say_hex across + 8
    say "\n"
    movl $0, other
    movl $0, across + 8
    ring_exit
    .balign 16
status: .word 1
control: .word 2
    .long 0x11223344, 0x55667788, 0x99aabbcc
other: .skip 16
    .balign 4096
    .skip 4096 - 8
across: .skip 16                             // its second half begins the next page of code
    nop
    ret
    .bss
    .balign 4096
directory: .skip 4096
