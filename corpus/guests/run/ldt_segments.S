// SPDX-License-Identifier: Apache-2.0
// Segments that are not flat, out of an LDT: limits, expand-down, 16-bit code and stacks, bases. ldt_segments.md.
#include "runtime.inc"

#define LDT(n) (8 * (n) + 7)                 // RPL 3
#define SMALL LDT(0)
#define DOWN LDT(1)
#define DOWN_WORD LDT(2)
#define WORD_CODE LDT(3)
#define READ_ONLY LDT(4)
#define EXECUTE_ONLY LDT(5)
#define BASED_CODE LDT(6)
#define WORD_STACK LDT(7)
#define SMALL_STACK LDT(8)
#define HIGH_BASE LDT(9)
#define PAGES LDT(10)
#define ABSENT FREE(0)
#define BASE 0x300000                        // of the data segments; the bytes there are their own low addresses

// Descriptor n of the LDT, by way of a slot in the GDT.
.macro set_local n, base, limit, access, flags
    set_descriptor FREE(20), \base, \limit, \access, \flags
    mov gdt + FREE(20), %eax
    mov %eax, ldt + 8 * \n
    mov gdt + FREE(20) + 4, %eax
    mov %eax, ldt + 8 * \n + 4
.endm

    .globl guest
guest:
    mov $BASE - 0x100, %edi
    mov $0x20000, %ecx
1:  mov %edi, %eax
    stosb
    loop 1b
    set_local 0, $BASE, $0xf, 0xf3, 0x4
    set_local 1, $BASE, $0xf, 0xf7, 0x4
    set_local 2, $BASE, $0xf, 0xf7, 0x0
    set_local 3, $word_code, $0xffff, 0xfb, 0x0
    set_local 4, $BASE, $0xf, 0xf1, 0x4
    set_local 5, $based_code, $0xffff, 0xf9, 0x4
    set_local 6, $based_code, $0xff, 0xfb, 0x4
    set_local 7, $BASE, $0xffff, 0xf3, 0x0
    set_local 8, $BASE, $0xf, 0xf3, 0x4
    set_local 9, $0xfff00000, $0xfffff, 0xf3, 0xc
    set_local 10, $BASE, $0, 0xf3, 0xc
    set_descriptor LDT_SELECTOR, $ldt, $(8*11-1), 0x82, 0
    set_descriptor ABSENT, $ldt, $(8*11-1), 0x02, 0
    in_ring $0, $loads
    mov $LDT_SELECTOR, %eax
    lldt %ax
    in_ring $3, $limits
    in_ring $3, $stacks
    in_ring $3, $code
    pass

loads:
    xor %eax, %eax
    try "lldt of a null selector"
    lldt %ax
    end_try
    mov $0x10, %eax
    try "lldt of data"
    lldt %ax
    end_try
    mov $ABSENT, %eax
    try "lldt, not present"
    lldt %ax
    end_try
    mov $4, %eax
    try "lldt out of the ldt"
    lldt %ax
    end_try
    mov $0x1f8, %eax
    try "lldt beyond the table"
    lldt %ax
    end_try
    mov $LDT_SELECTOR, %eax
    try "lldt"
    lldt %ax
    end_try
    mov $LDT(11), %eax
    try "load beyond the ldt"
    mov %eax, %fs
    end_try
    xor %eax, %eax
    lldt %ax
    ring_exit

.macro look segment, offset, size=b
    try "\size \offset"
    .ifc \size,b
    mov %\segment:\offset, %al
    .endif
    .ifc \size,w
    mov %\segment:\offset, %ax
    .endif
    .ifc \size,d
    mov %\segment:\offset, %eax
    .endif
    end_try
.endm

limits:
    mov $SMALL, %eax
    mov %eax, %fs
    say "limit 0xf\n"
    mov %fs:3, %eax
    say " read through the base: "
    say_hex %eax
    say "\n"
    look fs, 0xf, b
    look fs, 0x10, b
    look fs, 0xe, w
    look fs, 0xf, w
    look fs, 0xc, d
    look fs, 0xd, d
    look fs, 0xffffffff, b
    look fs, 0xfffffffe, d
    try "write"
    movb $7, %fs:7
    end_try
    try "write beyond"
    movb $7, %fs:0x17
    end_try
    mov $SMALL, %eax
    mov %eax, %es
    xor %edi, %edi
    mov $0x20, %ecx
    mov $0x55, %al
    try "rep stosb"
    rep stosb
    end_try
    mov %ss, %eax
    mov %eax, %es
    say " ecx="
    say_hex %ecx, 2
    say " edi="
    say_hex %edi, 2
    say "\n"
    mov $DOWN, %eax
    mov %eax, %fs
    say "expand-down, limit 0xf, 32-bit\n"
    look fs, 0xf, b
    look fs, 0x10, b
    look fs, 0xe, d
    look fs, 0x10000, b
    mov $DOWN_WORD, %eax
    mov %eax, %fs
    say "expand-down, limit 0xf, 16-bit\n"
    look fs, 0xf, b
    look fs, 0x10, b
    look fs, 0xfffc, d
    look fs, 0xfffd, d
    look fs, 0x10000, b
    mov $READ_ONLY, %eax
    mov %eax, %fs
    say "read-only\n"
    look fs, 0, b
    try "write"
    movb $0, %fs:0x20
    end_try
    try "write through cs"
    movb $0, %cs:memory
    end_try
    try "read through cs"
    movb %cs:memory, %al
    end_try
    mov $PAGES, %eax
    mov %eax, %fs
    say "limit of one page\n"
    look fs, 0xfff, b
    look fs, 0x1000, b
    mov $HIGH_BASE, %eax
    mov %eax, %fs
    say "base 0xfff00000: wraps to "
    mov %fs:BASE + 0x100000, %eax
    say_hex %eax
    lea BASE + 0x100000, %eax
    say " lea="
    say_hex %eax
    say "\n"
    ring_exit

// A flat stack has to be back before anything is printed.
stacks:
    mov $SMALL_STACK, %eax
    mov $0x43, %edx
    mov %esp, %esi
    say "stack of 16 bytes\n"
    try "push"
    mov %eax, %ss
    mov $0x10, %esp
    pushl $1
    mov %edx, %ss
    mov %esi, %esp
    end_try
    try "push below 0"
    mov %eax, %ss
    mov $2, %esp
    pushl $1
    mov %edx, %ss
    mov %esi, %esp
    end_try
    try "pop at the end"
    mov %eax, %ss
    mov $0xe, %esp
    popl %ecx
    mov %edx, %ss
    mov %esi, %esp
    end_try
    try "ebp beyond"
    mov %eax, %ss
    mov $0x10, %ebp
    mov (%ebp), %cl
    mov %edx, %ss
    mov %esi, %esp
    end_try
    try "enter beyond"
    mov %eax, %ss
    mov $8, %esp
    enter $16, $0
    mov %edx, %ss
    mov %esi, %esp
    end_try
    say "16-bit stack\n"
    mov $WORD_STACK, %eax
    mov %eax, %ss
    mov $0x12340000, %esp                    // SP wraps, the upper half stays
    pushw $0x5678
    mov %esp, %ecx
    popw %bx
    mov %esp, %edi
    mov $0x12340100, %esp
    mov %esp, %ebp
    enter $16, $0
    mov %ebp, memory
    mov %esp, memory + 4
    leave
    mov %esp, memory + 8
    mov %edx, %ss
    mov %esi, %esp
    say " pushed: esp="
    say_hex %ecx
    say " popped: esp="
    say_hex %edi
    say " value="
    say_hex %ebx, 4
    say " at fffe="
    mov BASE + 0xfffe, %ax
    say_hex %eax, 4
    say "\n enter: ebp="
    say_hex memory
    say " esp="
    say_hex memory + 4
    say " leave: esp="
    say_hex memory + 8
    say "\n"
    ring_exit

code:
    say "code with a base\n"
    lcall $BASED_CODE, $based_entry - based_code
    say " pushed by call="
    say_hex %eax
    say " by the far call="
    say_hex %ecx, 4
    say "\n"
    try "near jump beyond the limit"
    ljmp $BASED_CODE, $based_jump - based_code
beyond_back:
    end_try
    try "far jump beyond the limit"
    ljmp $BASED_CODE, $0x100
    end_try
    try "read of execute-only code"
    lcall $EXECUTE_ONLY, $based_read - based_code
    end_try
    mov %edi, %edi
    say "16-bit code\n"
    mov $0x11112222, %eax
    mov $0x33330003, %ecx
    xor %edx, %edx
    mov $0x55550000, %esi
    lcall $WORD_CODE, $0
    say " eax="
    say_hex %eax
    say " ecx="
    say_hex %ecx
    say " edx="
    say_hex %edx
    say " esi="
    say_hex %esi
    say " pushed="
    say_hex %edi, 4
    say "\n"
    ring_exit

    .balign 16
based_code:
    .skip 16, 0xcc
based_entry:
    mov 4(%esp), %ecx                        // CS of the caller
    call 1f
1:  popl %eax
    lret
based_jump:
    jmp based_code + 0x100
based_read:
    mov %cs:0, %al
    lret
    .org based_code + 0x100, 0xcc
    ljmp $CODE(3), $beyond_back              // where limits are not checked

    .balign 16
    .code16
word_code:
    inc %ax                                  // 2223
    add $0x1111, %ax                         // 3334
1:  inc %edx
    loop 1b                                  // CX: three times
    mov %esp, %edi
    call 2f
2:  sub %esp, %edi                           // two bytes
    pop %bx
    mov $0xffff, %si
    inc %si                                  // the upper half stays
    lretl
    .code32

    .data
    .balign 8
ldt: .skip 8 * 11
memory: .skip 16
