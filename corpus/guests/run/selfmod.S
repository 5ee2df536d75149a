// SPDX-License-Identifier: Apache-2.0
// Does changed code run as changed: on its own page, from another page, through an alias, by ring 3, across pages? selfmod.md.
// Every change is followed by a jump, or by a serializing instruction where another linear address was written.
#include "runtime.inc"

#define BUFFER 0x300000                      // physical pages for code made at run time
#define ALIAS 0x400000

.macro result text
    say "\text: "
    say_hex %eax
    say "\n"
.endm

    .globl guest
guest:
    in_ring $0, $unpaged
    call paging_on
    say "paged\n"
    in_ring $0, $unpaged
    say "ring 3\n"
    in_ring $3, $unpaged
    say "aliases\n"
    in_ring $0, $aliases
    pass

unpaged:
    // The immediate of an instruction a few bytes ahead.
    movl $0x11111111, 1f + 1
    jmp 1f
1:  mov $0, %eax
    result "immediate ahead"

    // A loop that counts in its own immediate.
    movl $0, 2f + 1
    mov $1000, %ecx
    xor %edx, %edx
1:  jmp 2f
2:  mov $0, %eax
    add %eax, %edx
    incl 2b + 1
    loop 1b
    mov %edx, %eax                           // 0 + 1 + ... + 999
    result "1000 rounds of a growing immediate"

    // Opcodes: INC EAX becomes DEC EAX and back.
    mov $0x100, %eax
    mov $6, %ecx
1:  jmp 2f
2:  inc %eax
    xorb $0x08, 2b
    loop 1b
    result "inc and dec in turn"

    // One instruction becomes two, two become one.
    movl $0x90900440, 2f                     // INC EAX; ADD AL, 0x90; NOP
    jmp 1f
1:  xor %eax, %eax
2:  .byte 0x90, 0x90, 0x90, 0x90
    result "four nops become inc, add"
    movl $0x90909090, 2b

    // Made elsewhere, called, remade: a function of 6 bytes.
    mov $BUFFER, %edi
    mov $3, %ecx
    xor %edx, %edx
1:  movb $0xb8, (%edi)
    mov %ecx, 1(%edi)
    movb $0xc3, 5(%edi)
    call *%edi
    shl $4, %edx
    or %eax, %edx
    loop 1b
    mov %edx, %eax
    result "a function remade three times"

    // Copied with a string instruction over what has just run.
    mov $BUFFER, %edi
    mov $template_a, %esi
    call copy_and_call
    result "template a by rep movsb"
    mov $BUFFER, %edi
    mov $template_b, %esi
    call copy_and_call
    result "template b over it"

    // Over a page boundary, the second page's part changed.
    mov $BUFFER + 0x1000 - 3, %edi
    movb $0xb8, (%edi)
    movl $0x01020304, 1(%edi)
    movb $0xc3, 5(%edi)
    call *%edi
    result "across a page boundary"
    movw $0xaabb, 3(%edi)
    call *%edi
    result "its second page changed"

    // Data beside code on one page, changed at each call.
    mov $100, %ecx
1:  call counts
    loop 1b
    mov count_beside, %eax
    result "100 calls of code that counts beside itself"

    // Sensitive instructions that come into being.
    movb $0x0e, 1f                           // PUSH CS
    movb $0x58, 1f + 1                       // POP EAX
    jmp 1f
1:  .byte 0x90, 0x90
    movzwl %ax, %eax
    mov %cs, %edx
    sub %edx, %eax
    movw $0x9090, 1b
    result "push cs made of nops, minus cs"
    ring_exit

copy_and_call:
    push %ecx
    mov $16, %ecx
    rep movsb
    pop %ecx
    sub $16, %edi
    jmp *%edi

counts:
    incl count_beside
    ret
count_beside: .long 0

template_a:
    mov $0x0000aaaa, %eax
    ret
    .balign 16, 0xcc
template_b:
    mov $0x0000bbbb, %eax
    inc %eax
    ret
    .balign 16, 0xcc

// The buffer at its own address and, through a second entry, at ALIAS.
aliases:
    movl $BUFFER + 7, page_table + 0x1000
    invlpg ALIAS
    mov $BUFFER, %edi
    mov $template_a, %esi
    call copy_and_call
    result "at its own address"
    mov $ALIAS, %eax
    call *%eax
    result "at the alias"
    movl $0x0000cccc, ALIAS + 1
    call serialize
    mov $BUFFER, %eax
    call *%eax
    result "written at the alias, run at its own address"
    movl $0x0000dddd, BUFFER + 1
    call serialize
    mov $ALIAS, %eax
    call *%eax
    result "written at its own address, run at the alias"
    // The alias moves to another page with other code.
    mov $BUFFER + 0x1000, %edi
    mov $template_b, %esi
    call copy_and_call
    movl $BUFFER + 0x1007, page_table + 0x1000
    invlpg ALIAS
    mov $ALIAS, %eax
    call *%eax
    result "the alias moved"
    movl $BUFFER + 7, page_table + 0x1000
    invlpg ALIAS
    mov $ALIAS, %eax
    call *%eax
    result "and back"
    // Read-only, with writes through the other address.
    movl $BUFFER + 5, page_table + 0x1000
    invlpg ALIAS
    mov $8, %ecx
    xor %edx, %edx
1:  mov %ecx, BUFFER + 1
    call serialize
    mov $ALIAS, %eax
    call *%eax
    shl $4, %edx
    or %eax, %edx
    loop 1b
    mov %edx, %eax
    result "a read-only alias, changed eight times"
    ring_exit

serialize:
    push %ebx
    push %ecx
    push %edx
    xor %eax, %eax
    cpuid
    pop %edx
    pop %ecx
    pop %ebx
    ret
