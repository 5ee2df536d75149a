// SPDX-License-Identifier: Apache-2.0
// Does code that has run read as the bytes that were written, by each way of reading? Paged, at rings 0 and 3. code_as_data.md.
#include "runtime.inc"

#define BUFFER 0x300000                      // physical pages for code made at run time
#define ALIAS 0x400000

// Far enough from what is sensitive on both sides that a monitor runs what stands between two of these as it is, and interprets none of it.
.macro apart
    .fill 64, 1, 0x90
    mov $1000, %ecx
775: dec %ecx
    jnz 775b
    .fill 64, 1, 0x90
.endm

.macro result text
    apart
    say "\text: "
    say_hex %eax
    say "\n"
.endm

    .globl guest
guest:
    // A second address for the page of `sensitive`, and what its bytes are before anything of it has run.
    call paging_on
    mov $sensitive, %eax
    and $0xfffff000, %eax
    or $7, %eax
    mov %eax, page_table + 0x1000
    invlpg ALIAS
    mov $sensitive, %esi
    mov $before, %edi
    mov $16, %ecx
    rep movsb
    in_ring $0, $reads
    say "ring 3\n"
    in_ring $3, $reads
    pass

reads:
    apart
    call sensitive
    apart
    mov sensitive, %eax
    result "pushf, popf, mov ss"
    apart
    mov sensitive + 4, %eax
    result "mov cs, str"
    apart
    mov $sensitive - 2, %esi
    lodsl                                    // begins in front of the first one
    and $0xffff0000, %eax
    result "read from two bytes before"
    apart
    movzbl sensitive + 3, %eax
    result "the second byte of mov ss"
    apart
    mov $sensitive, %eax
    and $0xfff, %eax
    mov ALIAS(%eax), %eax
    result "through another address"
    apart
    mov $sensitive, %esi
    mov $before, %edi
    mov $16, %ecx
    repe cmpsb
    setne %al
    movzbl %al, %eax
    result "differ from what they were"

    // With what writes: the value that comes back is the old one.
    apart
    call sensitive
    apart
    mov $0x9c, %al
    xchg %al, sensitive
    movzbl %al, %eax
    result "xchg with pushf"
    apart
    call sensitive
    apart
    xor %eax, %eax
    lock xaddb %al, sensitive + 1
    movzbl %al, %eax
    result "xadd to popf"
    apart
    call sensitive
    apart
    mov $0x9c, %eax
    mov $0x9c, %edx
    lock cmpxchg %dl, sensitive
    setne %al
    movzbl %al, %eax
    result "cmpxchg of pushf fails"

    // Instructions that come into being, run and are read.
    movb $0x0e, 1f                           // PUSH CS
    movb $0x58, 1f + 1                       // POP EAX
    jmp 1f
1:  .byte 0x90, 0x90
    apart
    movzwl 1b, %eax
    movw $0x9090, 1b
    result "push cs made of nops"

    // Copied to run elsewhere.
    apart
    call sensitive
    mov %eax, %edx
    apart
    mov $sensitive, %esi
    mov $BUFFER, %edi
    mov $16, %ecx
    rep movsb
    mov $BUFFER, %eax
    call *%eax
    sub %edx, %eax
    result "their copy, minus the original"
    ring_exit

    .balign 4096, 0x90                       // a page of its own; `1b` above is read by its own page
    .fill 4, 1, 0x90                         // not its first bytes
sensitive:
    pushfl
    popfl
    mov %ss, %eax
    mov %cs, %eax
    str %eax
    ret
    .balign 16, 0xcc

    .bss
before: .skip 16
