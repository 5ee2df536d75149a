// SPDX-License-Identifier: Apache-2.0
// What do SGDT, SIDT, SLDT, STR and SMSW store at CPL 0 and 3, and who may load? table_stores.md.
#include "runtime.inc"

    .globl guest
guest:
    set_descriptor LDT_SELECTOR, $ldt, $15, 0x82, 0
    xor %esi, %esi
1:  say "cpl="
    say_hex %esi, 1
    say "\n"
    in_ring %esi, $store_all
    inc %esi
    cmp $4, %esi
    jb 1b

    mov $LDT_SELECTOR, %eax
    lldt %ax
    mov %cr0, %eax
    or $CR0_TS, %eax
    mov %eax, %cr0
    say "cpl=3 after lldt and cr0.ts\n"
    in_ring $3, $store_all
    clts

    // LGDT and LIDT: any limit is kept, and the base as it is.
    say "lgdt, limit 1234: "
    lgdt other_gdt
    sgdt table
    lgdt gdt_pointer
    say_hex table, 4
    say "\n"
    say "lidt, limit 0807, base 12345678: "
    lidt other_idt
    sidt table
    lidt idt_pointer
    say_hex table, 4
    say " "
    say_hex table + 2
    say "\n"

    // LMSW: PE, MP, EM, TS; it sets PE and does not clear it.
    mov $0xfffe, %eax
    lmsw %ax
    smsw %ax
    clts
    say "lmsw fffe: "
    say_hex %eax, 4
    mov $0, %eax
    lmsw %ax
    smsw %ax
    say ", lmsw 0: "
    say_hex %eax, 4
    say "\n"

    mov $1, %esi
1:  in_ring %esi, $load_all
    inc %esi
    cmp $4, %esi
    jb 1b
    pass

store_all:
    movl $-1, table
    movl $-1, table + 4
    sgdt table
    say "sgdt limit="
    say_hex table, 4
    mov table + 2, %eax
    sub $gdt, %eax
    say " base=gdt+"
    say_hex %eax
    mov table + 6, %ax
    say " beyond="
    say_hex %eax, 4
    movl $-1, table
    movl $-1, table + 4
    sidt table
    say "\nsidt limit="
    say_hex table, 4
    mov table + 2, %eax
    sub $idt, %eax
    say " base=idt+"
    say_hex %eax
    mov table + 6, %ax
    say " beyond="
    say_hex %eax, 4
    movl $-1, table
    sldt table
    say "\nsldt memory="
    say_hex table
    mov $-1, %eax
    sldt %ax
    say " ax="
    say_hex %eax
    movl $-1, table
    str table
    say "\nstr memory="
    say_hex table
    mov $-1, %eax
    str %ax
    say " ax="
    say_hex %eax
    movl $-1, table
    smsw table
    say "\nsmsw memory="
    say_hex table
    mov $-1, %eax
    smsw %ax
    say " ax="
    say_hex %eax
    say "\n"
    ring_exit

load_all:
    xor %eax, %eax
    try "lgdt"
    lgdt gdt_pointer
    end_try
    try "lidt"
    lidt idt_pointer
    end_try
    try "lldt"
    lldt %ax
    end_try
    try "ltr"
    ltr %ax
    end_try
    try "lmsw"
    lmsw %ax
    end_try
    try "clts"
    clts
    end_try
    try "mov from cr0"
    mov %cr0, %eax
    end_try
    try "mov to cr3"
    mov %eax, %cr3
    end_try
    try "mov from dr7"
    mov %dr7, %eax
    end_try
    try "hlt"
    hlt
    end_try
    try "invlpg"
    invlpg table
    end_try
    try "invd"
    invd
    end_try
    try "wbinvd"
    wbinvd
    end_try
    mov $0x10, %ecx
    try "rdmsr"
    rdmsr
    end_try
    try "wrmsr"
    wrmsr
    end_try
    ring_exit

    .data
    .balign 4
table: .skip 8
other_gdt:
    .word 0x1234
    .long gdt
other_idt:
    .word 0x0807
    .long 0x12345678
    .balign 8
ldt: .skip 16
