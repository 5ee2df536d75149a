// SPDX-License-Identifier: Apache-2.0
// Page tables that name what is no RAM. outside.md.
#include "hostile.inc"

    .globl guest
guest:
    cases
    on data, data
    on code, code
    on stack, stack
    on tables, tables
    on directory, directory
    on interrupts, interrupts
    on segments, segments
    on vector, vector
    on rom, rom
    on pae_data, pae_data
    on pae_tables, pae_tables
    on pae_directory, pae_directory
    on pae_pointers, pae_pointers
    end_cases

// Linear 0x40000000 and on: RAM's end is at 32 MiB or more, so none of these frames is RAM but where there is 2 GiB of it.
#define AT 0x40000000
map_outside:
    call paging_on
    mov $frames, %esi
    mov $outside_table, %edi
1:  lodsl
    stosl
    test %eax, %eax
    jnz 1b
    movl $outside_table + 7, page_directory + (AT >> 20)
    mov %cr3, %eax
    mov %eax, %cr3
    ret
data:
    call map_outside
    in_ring $0, $all_data
    in_ring $3, $all_data
    pass
all_data:
    run_natively
    mov $AT, %esi
1:  mov (%esi), %eax
    mov %eax, (%esi)
    lock incl 4(%esi)
    movb 4095(%esi), %al
    add $4096, %esi
    cmp $AT + 4096 * 6, %esi
    jb 1b
    run_natively
    mov $AT, %esi
    mov $AT + 4096, %edi
    mov $4096, %ecx
    rep movsb
    run_natively
    mov $AT + 4096 - 2, %esi
    mov (%esi), %eax
    mov %eax, (%esi)
    say "survived\n"
    ring_exit
code:
    call map_outside
    run_natively
    try "code"
    mov $AT, %eax
    call *%eax
    end_try
    pass
stack:
    call map_outside
    run_natively
    mov $AT + 4096, %esp
    pushl $1
    run_natively
    ud2
tables:
    call map_outside
    movl $0x7ffff000 + 7, page_directory + ((AT + 0x400000) >> 20)
    movl $0xfee00000 + 7, page_directory + ((AT + 0x800000) >> 20)
    movl $0xfffff000 + 7, page_directory + ((AT + 0xc00000) >> 20)
    run_natively
    try "a table beyond RAM"
    mov AT + 0x400000, %eax
    end_try
    run_natively
    try "a table in a device"
    mov AT + 0x800000, %eax
    end_try
    run_natively
    try "a table at the top"
    movl $1, AT + 0xc00000
    end_try
    pass
directory:
    call map_outside
    run_natively
    mov $0x7fff0000, %eax
    mov %eax, %cr3
    run_natively
    pass
interrupts:
    call map_outside
    lidt outside_idt
    run_natively
    ud2
segments:
    call map_outside
    lgdt outside_gdt
    run_natively
    mov $DATA(0), %eax
    mov %eax, %ds
    run_natively
    mov %eax, %fs
    pass
vector:
    mov $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    mov %eax, %cr4
    call map_outside
    run_natively
    movups AT, %xmm0
    movups %xmm0, AT
    fldl AT
    say "survived\n"
    pass
rom:
    call paging_on
    run_natively
    mov $0xf0000, %edi
    mov $0xf0f0f0f0, %eax
    mov $0x4000, %ecx
    rep stosl
    mov $0xa0000, %edi
    mov $0x8000, %ecx
    rep stosl
    run_natively
    mov $0xb8000, %eax
    call *%eax
    pass

// PAE: frames above 4 GiB, and above what the processor has lines for.
pae_on:
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    movl $pae_directory_page + 1, pointers
    movl $0x83, pae_directory_page
    movl $pae_table + 7, pae_directory_page + 8
    mov $pointers, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    ret
.macro pae_entry n, low, high
    movl $\low, pae_table + 8 * \n
    movl $\high, pae_table + 8 * \n + 4
.endm
pae_data:
    pae_entry 0, 7, 1                        // 4 GiB
    pae_entry 1, 0xfffff007, 0xf             // 64 GiB - 4096
    pae_entry 2, 7, 0x80000                  // 2^51
    pae_entry 3, 7, 0x80000000               // bit 63
    pae_entry 4, 7, 0x100                    // 2^40
    call pae_on
    run_natively
    try "4 GiB"
    mov 0x200000, %eax
    mov %eax, 0x200000
    end_try
    run_natively
    try "64 GiB"
    mov 0x201000, %eax
    mov %eax, 0x201000
    end_try
    run_natively
    try "bit 51"
    mov 0x202000, %eax
    end_try
    run_natively
    try "bit 63"
    mov 0x203000, %eax
    end_try
    run_natively
    try "2^40"
    movl $1, 0x204000
    end_try
    say "survived\n"
    pass
pae_tables:
    call pae_on
    movl $7, pae_directory_page + 16
    movl $0xf, pae_directory_page + 20
    run_natively
    try "a table above 4 GiB"
    mov 0x400000, %eax
    end_try
    movl $0x87, pae_directory_page + 24
    movl $0xf, pae_directory_page + 28
    run_natively
    try "a large page above 4 GiB"
    mov 0x600000, %eax
    end_try
    pass
pae_directory:
    call pae_on
    movl $1, pointers + 8
    movl $0xf, pointers + 12
    mov %cr3, %eax
    mov %eax, %cr3
    run_natively
    try "a directory above 4 GiB"
    mov 0x40000000, %eax
    end_try
    pass
pae_pointers:
    call pae_on
    run_natively
    try "pointers beyond RAM"
    mov $0x7ffffe0, %eax
    mov %eax, %cr3
    end_try
    run_natively
    try "pointers at the top"
    mov $0xffffffe0, %eax
    mov %eax, %cr3
    end_try
    pass

    .section .rodata
    .balign 4
frames: .long 0x7fff0007, 0x7ffff007, 0x80000007, 0xa0007, 0xf0000007, 0xfffff007, 0
outside_idt:
    .word 0x7ff
    .long AT
outside_gdt:
    .word 0xff
    .long AT
    .bss
    .balign 4096
outside_table: .skip 4096
pae_directory_page: .skip 4096
pae_table: .skip 4096
pointers: .skip 32
