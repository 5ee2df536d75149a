// SPDX-License-Identifier: Apache-2.0
// A program for GNU Mach, given to the kernel as its boot module: user mode on a 32-bit kernel that is not Linux. See task.md.
// Traps are far calls through a call gate, the number in EAX, arguments on the stack as those of a C function.
    .text

    .macro mach_trap name:req, number:req
    .type \name, @function
\name: mov $-\number, %eax
    lcall $7, $0
    ret
    .endm
    mach_trap mach_task_self, 28
    mach_trap mach_print, 30
    mach_trap swtch_pri, 59
    mach_trap vm_allocate, 65
    mach_trap vm_deallocate, 66

    .macro print text:req
    .pushsection .rodata
770: .asciz "\text"
    .popsection
    pushl $770b
    call mach_print
    lea 4(%esp), %esp
    .endm
// Prints text and a value.
    .macro show text:req, value:req
    print "\text"
    mov \value, %eax
    call print_hex
    .endm

#define PAGES 300
#define TRAPS 20000
#define TURNS 3000000

    .globl _start
_start:
    print "task: runs\n"
    mov %cs, %eax
    movzwl %ax, %ebx
    show "cs ", %ebx
    mov %ss, %eax
    movzwl %ax, %ebx
    show "ss ", %ebx
    mov %ds, %eax
    movzwl %ax, %ebx
    show "ds ", %ebx
    pushfl                                   // IOPL, and IF as POPF from ring 3 leaves it
    popl %ebx
    and $0x3200, %ebx
    show "flags ", %ebx

    // Traps: each names the same port.
    call mach_task_self
    mov %eax, task
    mov $TRAPS, %ebx
    xor %esi, %esi
1:  call mach_task_self
    cmp %eax, task
    jne 2f
    inc %esi
2:  dec %ebx
    jnz 1b
    show "traps ", %esi

    // Memory: a page fault for each page.
    pushl $1
    pushl $PAGES * 4096
    pushl $memory
    pushl task
    call vm_allocate
    lea 16(%esp), %esp
    mov %eax, %ebx
    show "allocated ", %ebx
    mov memory, %edi
    xor %ebx, %ebx
    xor %esi, %esi
1:  or (%edi), %esi                          // fresh pages are zero
    mov %ebx, (%edi)
    add $4096, %edi
    inc %ebx
    cmp $PAGES, %ebx
    jb 1b
    show "zeros ", %esi
    xor %esi, %esi
    mov memory, %edi
    mov $PAGES, %ebx
1:  add (%edi), %esi
    add $4096, %edi
    dec %ebx
    jnz 1b
    show "sum ", %esi
    pushl $PAGES * 4096
    pushl memory
    pushl task
    call vm_deallocate
    lea 12(%esp), %esp
    mov %eax, %ebx
    show "freed ", %ebx

    // The clock interrupts this, and registers and the x87 stack must survive.
    fldpi
    mov $0x12345678, %ebx
    mov $0x9abcdef0, %esi
    mov $TURNS, %ebp
1:  rol $1, %ebx
    xor %esi, %ebx
    ror $3, %esi
    add %ebx, %esi
    dec %ebp
    jnz 1b
    show "turns ", %ebx
    fldpi
    fcomip %st(1), %st
    mov $0, %ebx
    sete %bl
    show "pi ", %ebx

    // Giving up the processor.
    mov $100, %ebx
1:  pushl $0
    call swtch_pri
    lea 4(%esp), %esp
    dec %ebx
    jnz 1b
    print "task: end\n"
1:  jmp 1b

// Prints EAX in 8 digits, and a line feed.
print_hex:
    pushal
    mov $digits, %edi
    mov $8, %ecx
1:  rol $4, %eax
    mov %eax, %edx
    and $15, %edx
    mov hex(%edx), %dl
    mov %dl, (%edi)
    inc %edi
    loop 1b
    pushl $digits
    call mach_print
    lea 4(%esp), %esp
    popal
    ret

    .section .rodata
hex: .ascii "0123456789abcdef"
    .data
task: .long 0
memory: .long 0
digits: .asciz "........\n"
