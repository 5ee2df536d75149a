// SPDX-License-Identifier: Apache-2.0
// Protected mode without paging: all of RAM, A20, no protection of pages; and what control registers keep. unpaged_protected.md.
#include "runtime.inc"

.macro show text, value
    say " \text="
    say_hex \value
.endm

    .globl guest
guest:
    in_ring $0, $ram
    in_ring $3, $ram
    in_ring $0, $control_registers
    in_ring $0, $cycles
    in_ring $0, $refused
    pass

ram:
    mov %cs, %eax
    and $3, %eax
    say "cpl="
    say_hex %eax, 1
    // A value of its own in each MiB from 3 to 31, then all of them again.
    mov $0x300000, %edi
    mov $29, %ecx
1:  mov %edi, (%edi)
    add $0x100000, %edi
    loop 1b
    mov $0x300000, %edi
    mov $29, %ecx
    xor %eax, %eax
1:  add (%edi), %eax
    add $0x100000, %edi
    loop 1b
    show "sum", %eax
    // 1 MiB by string instructions.
    mov $0x400000, %edi
    mov $0x40000, %ecx
    mov $0x01010101, %eax
    rep stosl
    mov $0x400000, %esi
    mov $0x1234567, %edi                     // unaligned
    mov $0x100000, %ecx
    rep movsb
    mov $0x1234567, %esi
    mov $0x100000, %ecx
    xor %edx, %edx
    xor %eax, %eax
1:  lodsb
    add %eax, %edx
    dec %ecx
    jnz 1b
    show "copied", %edx
    // Bit 20 of an address counts.
    movl $0x11111111, 0x600500
    movl $0x22222222, 0x700500
    show "a20", 0x600500
    // Code anywhere.
    movl $0x0005b866, 0x1e00000              // MOV AX, 5; RET
    movl $0xc3, 0x1e00004
    mov $0x1e00000, %ebx
    xor %eax, %eax
    call *%ebx
    show "code at 30 MiB", %eax
    call sensitive
    show "pushf, popf, mov ss as data", sensitive
    // Nothing keeps ring 3 from the supervisor's data: there are no pages.
    mov idt + 2, %ax
    mov %ax, idt + 2
    say "\n"
    ring_exit

sensitive:
    pushfl
    popfl
    mov %ss, %eax
    ret

control_registers:
    mov $0x1234f018, %eax
    mov %eax, %cr3
    mov %cr3, %eax
    and $0xfffff018, %eax
    show "cr3", %eax
    mov $0xdeadbeef, %eax
    mov %eax, %cr2
    mov %cr2, %eax
    show "cr2", %eax
    mov $CR4_PSE | CR4_PGE | CR4_TSD | CR4_DE, %eax
    mov %eax, %cr4
    mov %cr4, %eax
    show "cr4", %eax
    xor %eax, %eax
    mov %eax, %cr4
    mov $CR0_PE | CR0_NE | CR0_WP | CR0_AM | CR0_EM | CR0_TS, %eax
    mov %eax, %cr0                           // ET stays 1
    mov %cr0, %eax
    show "cr0", %eax
    mov $CR0_PE | CR0_MP | CR0_NE, %eax
    mov %eax, %cr0
    invlpg 0x12345678
    wbinvd
    say "\n"
    // The time stamp counter: ever higher, and for ring 0 alone with CR4.TSD.
    rdtsc
    mov %eax, %ebx
    mov %edx, %esi
    rdtsc
    sub %ebx, %eax
    sbb %esi, %edx
    sar $31, %edx
    show "rdtsc goes back", %edx
    mov $0x10, %ecx
    rdmsr
    mov %eax, %ebx
    mov %edx, %esi
    rdtsc
    sub %ebx, %eax
    sbb %esi, %edx
    sar $31, %edx
    show "behind its msr", %edx
    say "\n"
    in_ring $3, $counter
    mov $CR4_TSD, %eax
    mov %eax, %cr4
    in_ring $0, $counter
    in_ring $3, $counter
    xor %eax, %eax
    mov %eax, %cr4
    ring_exit
counter:
    try "rdtsc"
    rdtsc
    end_try
    ring_exit

// Paging on and off a hundred times, with a page that lies elsewhere when it is on.
cycles:
    call paging_on
    movl $0x700007, page_table + 4 * 0x600
    mov %cr0, %ebx
    mov %ebx, %edx
    and $~CR0_PG, %edx
    movl $0, 0x700500
    mov %edx, %cr0
    movl $0, 0x600500
    mov $100, %ecx
1:  mov %ebx, %cr0
    jmp 2f
2:  incl 0x600500                            // physical 0x700500
    mov %edx, %cr0
    jmp 2f
2:  addl $2, 0x600500
    loop 1b
    show "unpaged", 0x600500
    show "paged", 0x700500
    say "\n"
    ring_exit

refused:
    try "mov from cr1"
    .byte 0x0f, 0x20, 0xc8
    end_try
    try "mov to cr5"
    .byte 0x0f, 0x22, 0xe8
    end_try
    try "mov from cr7"
    .byte 0x0f, 0x20, 0xf8
    end_try
    mov $0x12345678, %ecx
    try "rdmsr of no register"
    rdmsr
    end_try
    try "wrmsr of no register"
    wrmsr
    end_try
    try "sysenter, which is not offered"
    sysenter
    end_try
    try "rsm outside its mode"
    .byte 0x0f, 0xaa
    end_try
    ring_exit
