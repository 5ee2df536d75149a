// SPDX-License-Identifier: Apache-2.0
// Accessed and dirty bits, large pages, aliases, INVLPG, CR3 with global pages, PAE. page_tricks.md.
// Stale translations are never looked at: only what an invalidation must have changed, and what a global page must keep.
#include "runtime.inc"

#define A 0x300000                           // physical pages with known content
#define B 0x301000
#define LINEAR 0x400000
#define ENTRY (page_table + 0x1000)

.macro show text, value
    say " \text="
    say_hex \value
.endm
.macro line
    say "\n"
.endm
.macro flush_all
    mov %cr3, %eax
    mov %eax, %cr3
.endm

    .globl guest
guest:
    movl $0xaaaaaaaa, A
    movl $0xbbbbbbbb, B
    call paging_on
    in_ring $0, $accessed_and_dirty
    in_ring $0, $invlpg_and_cr3
    in_ring $0, $aliases
    in_ring $0, $global
    in_ring $0, $large
    in_ring $0, $through_itself
    in_ring $0, $off_and_on
    in_ring $0, $pae
    pass

// Bits 5 and 6 of the table entry, bit 5 of the directory entry.
.macro bits text
    say "\text: entry="
    mov ENTRY, %eax
    and $0x60, %eax
    say_hex %eax, 2
    mov page_directory + 4, %eax
    and $0x20, %eax
    say " directory="
    say_hex %eax, 2
    say "\n"
.endm
.macro clear_bits rights
    movl $A + \rights, ENTRY
    movl $page_table + 0x1007, page_directory + 4
    flush_all
.endm

accessed_and_dirty:
    say "accessed and dirty\n"
    clear_bits 7
    bits "before"
    mov LINEAR, %eax
    bits "read"
    movl $0xaaaaaaaa, LINEAR
    bits "read, then written"
    clear_bits 7
    movl $0xaaaaaaaa, LINEAR
    bits "written"
    clear_bits 7
    addl $0, LINEAR
    bits "added to"
    clear_bits 7
    mov %cr0, %ecx
    or $CR0_WP, %ecx
    mov %ecx, %cr0
    movl $A + 5, ENTRY
    flush_all
    try "write to a read-only page"
    movl $0, LINEAR
    end_try
    mov ENTRY, %eax
    and $0x40, %eax
    say "dirty="
    say_hex %eax, 2
    line
    and $~CR0_WP, %ecx
    mov %ecx, %cr0
    clear_bits 5
    movl $0xaaaaaaaa, LINEAR
    bits "write to a read-only page, wp=0"
    // Cleared by software and set again, after INVLPG.
    clear_bits 7
    movl $0xaaaaaaaa, LINEAR
    andl $~0x60, ENTRY
    invlpg LINEAR
    bits "cleared"
    mov LINEAR, %eax
    bits "read again"
    // Code sets accessed alone.
    movb $0xc3, A + 0x800
    clear_bits 7
    mov $LINEAR + 0x800, %eax
    call *%eax
    bits "executed"
    ring_exit

invlpg_and_cr3:
    say "another page at the same address\n"
    movl $A + 7, ENTRY
    flush_all
    show "first", LINEAR
    movl $B + 7, ENTRY
    invlpg LINEAR
    show "invlpg", LINEAR
    movl $A + 7, ENTRY
    flush_all
    show "cr3", LINEAR
    movl $0, ENTRY
    invlpg LINEAR + 0xfff
    line
    try "absent after invlpg of its last byte"
    mov LINEAR, %eax
    end_try
    // From absent to present nothing needs to be invalidated.
    movl $B + 7, ENTRY
    show "present again", LINEAR
    // Rights: fewer after INVLPG, and more as well.
    movl $B + 3, ENTRY
    invlpg LINEAR
    line
    in_ring $3, $user_read
    movl $B + 7, ENTRY
    invlpg LINEAR
    in_ring $3, $user_read
    ring_exit
user_read:
    try "user read"
    mov LINEAR, %eax
    end_try
    ring_exit

aliases:
    say "two addresses of one page\n"
    movl $A + 7, ENTRY
    movl $A + 7, ENTRY + 4
    movl $A + 5, ENTRY + 8
    flush_all
    movl $0x12345678, LINEAR + 0x10
    show "second", LINEAR + 0x1010
    movl $0x87654321, LINEAR + 0x1010
    show "first", LINEAR + 0x10
    show "read-only", LINEAR + 0x2010
    show "itself", A + 0x10
    mov $LINEAR + 0xffe, %esi
    movl $0xddccbbaa, (%esi)                 // across the two, which are one: its ends meet
    show "end", A + 0xffc
    show "begin", A
    line
    movl $0xaaaaaaaa, A
    ring_exit

// A global entry survives a load of CR3, not INVLPG, nor CR4.PGE going away.
global:
    say "global\n"
    mov $CR4_PGE, %eax
    mov %eax, %cr4
    movl $A + 0x107, ENTRY
    invlpg LINEAR
    show "first", LINEAR
    movl $B + 0x107, ENTRY
    invlpg LINEAR
    show "invlpg", LINEAR
    movl $A + 0x107, ENTRY
    xor %eax, %eax
    mov %eax, %cr4
    show "pge cleared", LINEAR
    mov $CR4_PGE, %eax
    mov %eax, %cr4
    // Another directory whose entry for this address is the same global page: what every kernel does.
    mov $page_directory, %esi
    mov $other_directory, %edi
    mov $1024, %ecx
    rep movsl
    mov $other_directory, %eax
    mov %eax, %cr3
    show "other directory", LINEAR
    movl $B + 7, ENTRY
    invlpg LINEAR
    show "not global", LINEAR
    movl $A + 7, ENTRY
    flush_all
    show "cr3", LINEAR
    mov $page_directory, %eax
    mov %eax, %cr3
    xor %eax, %eax
    mov %eax, %cr4
    line
    ring_exit

large:
    say "4 MiB pages\n"
    mov $CR4_PSE, %eax
    mov %eax, %cr4
    movl $0x87, page_directory + 4 * 2       // 8 MiB onwards is physical 0 onwards
    flush_all
    show "read", A + 0x800000
    mov page_directory + 4 * 2, %eax
    and $0x60, %eax
    show "bits", %eax
    movl $0xaaaaaaab, A + 0x800000
    mov page_directory + 4 * 2, %eax
    and $0x60, %eax
    show "bits", %eax
    show "written", A
    // Split into small pages, one of them elsewhere.
    movl $page_table + 7, page_directory + 4 * 2
    mov page_table + 4 * 0x300, %ebx
    movl $B + 7, page_table + 4 * 0x300
    flush_all
    show "split", A + 0x800000
    mov %ebx, page_table + 4 * 0x300
    movl $0x85, page_directory + 4 * 2       // read-only, user
    flush_all
    show "joined", A + 0x800000
    line
    in_ring $3, $user_large
    movl $0x83, page_directory + 4 * 2
    flush_all
    in_ring $3, $user_large
    // Without PSE bit 7 means nothing.
    xor %eax, %eax
    mov %eax, %cr4
    movl $page_table + 0x1087, page_directory + 4
    movl $B + 7, ENTRY
    flush_all
    show "pse=0, bit 7 set", LINEAR
    movl $page_table + 0x1007, page_directory + 4
    movl $0, page_directory + 4 * 2
    flush_all
    movl $0xaaaaaaaa, A
    line
    ring_exit
user_large:
    try "user read"
    mov A + 0x800000, %eax
    end_try
    try "user write"
    movl $0, A + 0x800010
    end_try
    ring_exit

// A directory that is its own last table: the tables appear at the top of the address space.
through_itself:
    say "a directory in itself\n"
    movl $page_directory + 7, page_directory + 4 * 1023
    flush_all
    movl $A + 7, 0xffc00000 + 4 * 0x400      // the entry for LINEAR
    invlpg LINEAR
    show "mapped", LINEAR
    mov 0xfffff000 + 4 * 1023, %eax
    and $~0xfff, %eax
    sub $page_directory, %eax
    show "the directory's own entry, off by", %eax
    movl $B + 7, 0xffc00000 + 4 * 0x400
    invlpg LINEAR
    show "mapped", LINEAR
    line
    movl $0, page_directory + 4 * 1023
    flush_all
    ring_exit

off_and_on:
    say "paging off and on\n"
    movl $A + 7, ENTRY
    mov %cr0, %ebx
    mov %ebx, %ecx
    and $~CR0_PG, %ecx
    movl $0x11111111, LINEAR + 0x20          // page A
    mov %ecx, %cr0
    jmp 1f
1:  movl $0x22222222, LINEAR + 0x20          // physical 4 MiB
    movl $B + 7, ENTRY
    mov %ebx, %cr0
    jmp 1f
1:  show "on", LINEAR
    show "page a", A + 0x20
    line
    movl $A + 7, ENTRY
    flush_all
    ring_exit

// PAE: 2 MiB pages for the first 4 MiB and 4 KiB pages behind them.
pae:
    say "pae\n"
    movl $pae_directory + 1, pae_pointers
    movl $0x0000e7, pae_directory
    movl $0x2000e7, pae_directory + 8
    movl $pae_table + 7, pae_directory + 16
    movl $A + 7, pae_table
    movl $B + 5, pae_table + 8
    mov %cr0, %ebx
    mov %ebx, %ecx
    and $~CR0_PG, %ecx
    or $CR0_WP, %ebx
    mov %ecx, %cr0
    mov $pae_pointers, %eax
    mov %eax, %cr3
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov %ebx, %cr0
    jmp 1f
1:  show "read", LINEAR
    mov pae_table, %eax
    and $0x60, %eax
    show "bits", %eax
    movl $0xaaaaaaac, LINEAR
    mov pae_table, %eax
    and $0x60, %eax
    show "bits", %eax
    show "page a", A
    line
    try "write to a read-only page"
    movl $0, LINEAR + 0x1010
    end_try
    try "absent page"
    movl $0, LINEAR + 0x2010
    end_try
    try "absent directory entry"
    movl $0, 0x600010
    end_try
    try "absent pointer"
    movl $0, 0x40000010
    end_try
    // Bit 63 is reserved where no-execute is not offered.
    movl $A + 7, pae_table + 24
    movl $0x80000000, pae_table + 28
    try "bit 63 set"
    mov LINEAR + 0x3010, %eax
    end_try
    // The four pointers are loaded with CR3: a change is seen after the next load.
    movl $pae_other_directory + 1, pae_pointers + 8
    movl $B + 7, pae_other_table
    movl $pae_other_table + 7, pae_other_directory
    flush_all
    show "a second pointer", 0x40000000
    line
    mov %ebx, %ecx
    and $~(CR0_PG | CR0_WP), %ecx
    mov %ecx, %cr0
    xor %eax, %eax
    mov %eax, %cr4
    mov $page_directory, %eax
    mov %eax, %cr3
    ring_exit

    .bss
    .balign 4096
other_directory: .skip 4096
pae_directory: .skip 4096
pae_table: .skip 4096
pae_other_directory: .skip 4096
pae_other_table: .skip 4096
pae_pointers: .skip 32
