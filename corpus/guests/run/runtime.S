// SPDX-License-Identifier: Apache-2.0
// The ground under every guest that runs: entry, tables, the serial line, one way in for all vectors, attempts, rings.
// `guest` is the guest's own entry, at ring 0, interrupts off, unpaged.
#include "runtime.inc"

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .globl _start
    .type _start, @function
_start:
    mov %eax, boot_magic
    mov %ebx, boot_information
    mov $kernel_stack_top, %esp
    pushfl
    popl boot_eflags
    mov %cr0, %eax
    mov %eax, boot_cr0
    cli
    cld
    pushl $2
    popfl
    mov $tss, %eax
    mov %ax, gdt + TSS_SELECTOR + 2
    shr $16, %eax
    mov %al, gdt + TSS_SELECTOR + 4
    mov %ah, gdt + TSS_SELECTOR + 7
    lgdt gdt_pointer
    ljmp $CODE(0), $1f
1:  mov $DATA(0), %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $CR0_PE | CR0_MP | CR0_NE, %eax
    mov %eax, %cr0
    xor %eax, %eax
    lldt %ax
    call fill_interrupt_table
    lidt idt_pointer
    mov $TSS_SELECTOR, %eax
    ltr %ax
    call serial_init
    call pic_init
    pushl $2
    popfl
    call guest
    pass

// Every gate: 32-bit interrupt gate to its own entry, DPL 0 but for INT3, INTO and the services.
fill_interrupt_table:
    mov $idt, %edi
    mov $entries, %eax
    xor %ecx, %ecx
1:  mov %ax, (%edi)
    movw $CODE(0), 2(%edi)
    movw $0x8e00, 4(%edi)
    mov %eax, %edx
    shr $16, %edx
    mov %dx, 6(%edi)
    add $8, %edi
    add $16, %eax
    inc %ecx
    cmp $256, %ecx
    jb 1b
    movb $0xee, idt + 8 * 3 + 5
    movb $0xee, idt + 8 * 4 + 5
    .irp vector, SAY, HEX, TRY, END_TRY, RING_EXIT
    movb $0xee, idt + 8 * \vector + 5
    .endr
    ret

// 16 bytes each: the error code, or 0 where the processor pushes none, and the vector.
    .balign 16
entries:
    .set vector, 0
    .rept 256
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
    .else
    pushl $0
    .endif
    pushl $vector
    jmp entry
    .balign 16, 0xcc
    .set vector, vector + 1
    .endr

entry:
    pushl %ds
    pushl %es
    pushal
    cld
    mov $DATA(0), %eax
    mov %eax, %ds
    mov %eax, %es
    mov %esp, %ebx
    mov FRAME_VECTOR(%ebx), %eax
    mov hooks(, %eax, 4), %edx
    test %edx, %edx
    jz report
    call *%edx
leave_entry:
    popal
    popl %es
    popl %ds
    lea 8(%esp), %esp
    iret

// What no hook takes: "#GP error=00000018 eip=+0 cs=0008" and, inside an attempt, on to its end.
report:
    call print_exception
    cmpl $0, try_record
    jne resume
    mov $text_unexpected, %esi
    call puts
    jmp guest_failed

    .globl print_exception
// Prints the exception of the frame at %ebx, and a line feed. For hooks, too.
print_exception:
    mov FRAME_VECTOR(%ebx), %edx
    cmp $20, %edx
    jae 1f
    lea names(, %edx, 4), %esi
    call puts
    jmp 2f
1:  mov $text_vector, %esi
    call puts
    mov %edx, %eax
    mov $2, %ecx
    call put_hex
2:  cmp $31, %edx
    ja 3f
    mov $0x00027d00, %eax                    // 8, 10-14, 17 push an error code
    bt %edx, %eax
    jnc 3f
    mov $text_error, %esi
    call puts
    mov FRAME_ERROR(%ebx), %eax
    mov $8, %ecx
    call put_hex
3:  cmp $8, %edx                             // the EIP saved with #DF is undefined
    je 6f
    mov $text_eip, %esi
    call puts
    mov FRAME_EIP(%ebx), %eax
    mov try_record, %ecx
    jecxz 4f
    mov 4(%ecx), %ecx
4:  call put_eip
    mov $text_cs, %esi
    call puts
    mov FRAME_CS(%ebx), %eax
    mov $4, %ecx
    call put_hex
6:  cmp $14, %edx
    jne 7f
    mov $text_cr2, %esi
    call puts
    mov %cr2, %eax
    mov $8, %ecx
    call put_hex
7:  mov $'\n', %al
    jmp putc

// Goes on at the end of the attempt, on its own stack and at its CPL.
    .globl resume
resume:
    mov %ebx, %esi                           // the stack of the attempt may lie across this frame: copy first
    mov $resume_registers, %edi
    mov $10, %ecx
    rep movsl
    mov try_record, %eax
    mov 8(%eax), %eax
    movl $0, try_record
    testb $3, try_cs
    jnz 1f
    lss try_stack, %esp
    jmp 2f
1:  mov tss + 4, %esp
    pushl try_stack + 4
    pushl try_stack
2:  pushl try_eflags
    pushl try_cs
    pushl %eax
    sub $40, %esp
    mov $resume_registers, %esi
    mov %esp, %edi
    mov $10, %ecx
    rep movsl
    popal
    popl %es
    popl %ds
    iret

// --- services. Each finds its arguments on the caller's stack.
arguments:                                   // gives %esi
    lea FRAME_ESP(%ebx), %esi
    testb $3, FRAME_CS(%ebx)
    jz 1f
    mov FRAME_ESP(%ebx), %esi
1:  ret

service_say:
    call arguments
    mov (%esi), %esi
    jmp puts

service_hex:
    call arguments
    mov 4(%esi), %eax
    mov (%esi), %ecx
    jmp put_hex

service_try:
    call arguments
    lea 4(%esi), %eax
    mov %eax, try_stack
    mov (%esi), %esi
    mov %esi, try_record
    mov FRAME_CS(%ebx), %eax
    mov %eax, try_cs
    mov FRAME_EFLAGS(%ebx), %ecx
    mov %ecx, try_eflags
    mov %ss, %edx
    test $3, %al
    jz 1f
    mov FRAME_SS(%ebx), %edx
1:  mov %edx, try_stack + 4
    mov (%esi), %esi
    call puts
    mov $text_colon, %esi
    jmp puts

service_end_try:
    cmpl $0, try_record
    je 1f
    movl $0, try_record
    mov $text_ok, %esi
    jmp puts
1:  ret

    .globl print_step
// The hook of `trace`.
print_step:
    xor %eax, %eax
    mov %eax, %dr6
    mov FRAME_EIP(%ebx), %eax
    cmp trace_end, %eax
    ja 1f
    mov $' ', %al
    call putc
    mov FRAME_EIP(%ebx), %eax
    mov trace_begin, %ecx
    jmp put_eip
1:  ret

// --- rings
    .globl run_in_ring
// run_in_ring(ring, eflags, function): see in_ring. Takes its arguments off the stack.
run_in_ring:
    pushfl
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    pushl ring_return
    pushl tss + 4
    mov %esp, ring_return
    mov %esp, tss + 4
    lea 60(%esp), %edi                       // the return address; behind it ring, EFLAGS, function
    mov 4(%edi), %eax
    mov 8(%edi), %edx
    mov 12(%edi), %esi
    imul $0x11, %eax, %ecx
    lea DATA(0)(%ecx), %ebx
    test %eax, %eax
    jz 1f
    shl $12, %eax
    add $ring_stacks, %eax
    pushl %ebx
    pushl %eax
1:  pushl %edx
    lea CODE(0)(%ecx), %eax
    pushl %eax
    pushl %esi
    mov %ebx, %ds
    mov %ebx, %es
    mov %ebx, %fs
    mov %ebx, %gs
    mov %ss:ring_return, %ebp                // the function gets the caller's registers
    mov 24(%ebp), %edi
    mov 28(%ebp), %esi
    mov 40(%ebp), %ebx
    mov 44(%ebp), %edx
    mov 48(%ebp), %ecx
    mov 52(%ebp), %eax
    mov 32(%ebp), %ebp
    iret

service_ring_exit:
    mov ring_return, %esp
    popl tss + 4
    popl ring_return
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    popfl
    ret $12

// --- descriptors
    .globl write_descriptor
// write_descriptor(selector, base, limit, access | flags << 8)
write_descriptor:
    pushfl
    pushal
    mov 40(%esp), %edi
    add $gdt, %edi
    mov 44(%esp), %eax
    mov 48(%esp), %ecx
    mov 52(%esp), %edx
    mov %cx, (%edi)
    mov %ax, 2(%edi)
    shr $16, %eax
    mov %al, 4(%edi)
    mov %dl, 5(%edi)
    shr $16, %ecx
    shl $4, %dh
    or %dh, %cl
    mov %cl, 6(%edi)
    mov %ah, 7(%edi)
    popal
    popfl
    ret $16

    .globl write_gate, write_call_gate
// write_gate(vector, selector, offset, access << 8), write_call_gate(selector in the GDT, ...)
write_gate:
    pushfl
    pushal
    mov 40(%esp), %edi
    lea idt(, %edi, 8), %edi
    jmp 1f
write_call_gate:
    pushfl
    pushal
    mov 40(%esp), %edi
    add $gdt, %edi
1:  mov 44(%esp), %edx
    mov 48(%esp), %eax
    mov 52(%esp), %ecx
    mov %ax, (%edi)
    mov %dx, 2(%edi)
    mov %cx, 4(%edi)
    shr $16, %eax
    mov %ax, 6(%edi)
    popal
    popfl
    ret $16

// --- paging: the first 8 MiB are themselves, user and writable, by 4 KiB pages
    .globl paging_on
paging_on:
    pushal
    mov $page_table, %edi
    mov $7, %eax
    mov $2048, %ecx
1:  stosl
    add $0x1000, %eax
    loop 1b
    movl $page_table + 7, page_directory
    movl $page_table + 0x1000 + 7, page_directory + 4
    mov $page_directory, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    jmp 1f
1:  popal
    ret

// --- devices
serial_init:                                 // 8 data bits, no parity, FIFO off, no interrupts
    mov $0x3f9, %dx
    mov $0, %al
    out %al, %dx
    mov $0x3fb, %dx
    mov $3, %al
    out %al, %dx
    mov $0x3fa, %dx
    mov $0, %al
    out %al, %dx
    ret

    .globl pic_init
// Both 8259 at vectors 0x20 and 0x28, edge-triggered, every line masked.
pic_init:
    mov $0x11, %al
    out %al, $0x20
    out %al, $0xa0
    mov $0x20, %al
    out %al, $0x21
    mov $0x28, %al
    out %al, $0xa1
    mov $4, %al
    out %al, $0x21
    mov $2, %al
    out %al, $0xa1
    mov $1, %al
    out %al, $0x21
    out %al, $0xa1
    mov $0xff, %al
    out %al, $0x21
    out %al, $0xa1
    ret

    .globl putc, puts, put_hex
// Sends %al; changes nothing.
putc:
    pushl %edx
    pushl %eax
    mov $0x3fd, %dx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    popl %eax
    mov $0x3f8, %dx
    out %al, %dx
    popl %edx
    ret
// Sends the string at %esi; changes %eax and %esi.
puts:
    mov (%esi), %al
    test %al, %al
    jz 1f
    call putc
    inc %esi
    jmp puts
1:  ret
// Sends the low %ecx digits of %eax; changes %eax, %ecx, %esi.
put_hex:
    mov %eax, %esi
    push %edx
    mov %ecx, %edx
1:  dec %edx
    js 2f
    lea (, %edx, 4), %ecx
    mov %esi, %eax
    shr %cl, %eax
    and $15, %eax
    mov digits(%eax), %al
    call putc
    jmp 1b
2:  pop %edx
    ret
// Sends an EIP of %eax as +n from %ecx where it is within 256 bytes behind that, else as it is.
put_eip:
    sub %eax, %ecx
    neg %ecx
    cmp $0x100, %ecx
    jae 1f
    mov $'+', %al
    call putc
    mov %ecx, %eax
    cmp $0x10, %eax
    mov $1, %ecx
    jb put_hex
    inc %ecx
    jmp put_hex
1:  mov $8, %ecx
    jmp put_hex

    .globl guest_passed, guest_failed
guest_passed:
    mov $text_end, %esi
    call puts
    xor %eax, %eax
    jmp 1f
guest_failed:
    mov $text_fail, %esi
    call puts
    mov $1, %eax
1:  cli
    out %al, $0xf4
2:  hlt
    jmp 2b

    .section .rodata
names: .ascii "#DE\0#DB\0NMI\0#BP\0#OF\0#BR\0#UD\0#NM\0#DF\0#09\0#TS\0#NP\0#SS\0#GP\0#PF\0#15\0#MF\0#AC\0#MC\0#XM\0"
digits: .ascii "0123456789abcdef"
text_vector: .asciz "#"
text_error: .asciz " error="
text_eip: .asciz " eip="
text_cs: .asciz " cs="
text_cr2: .asciz " cr2="
text_unexpected: .asciz "unexpected\n"
text_colon: .asciz ": "
text_ok: .asciz "ok\n"
text_end: .asciz "end\n"
text_fail: .asciz "fail\n"

    .data
    .globl trace_begin, trace_end, io_bitmap, boot_magic, boot_information, boot_eflags, boot_cr0
    .globl gdt, gdt_pointer, idt, idt_pointer, tss, hooks, try_record, ring_stacks, page_directory, page_table, kernel_stack_top
    .balign 8
// Present data and code segments have their accessed bit set, so that loading them writes nothing.
gdt:
    .quad 0
    descriptor 0, 0xfffff, 0x9b, 0xc         // 08
    descriptor 0, 0xfffff, 0x93, 0xc         // 10
    descriptor 0, 0xfffff, 0xbb, 0xc         // 19
    descriptor 0, 0xfffff, 0xb3, 0xc         // 21
    descriptor 0, 0xfffff, 0xdb, 0xc         // 2a
    descriptor 0, 0xfffff, 0xd3, 0xc         // 32
    descriptor 0, 0xfffff, 0xfb, 0xc         // 3b
    descriptor 0, 0xfffff, 0xf3, 0xc         // 43
    descriptor 0, 0x67, 0x89, 0              // 48: TSS, no I/O bitmap
    .quad 0                                  // 50: LDT
    .fill 52, 8, 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
    .balign 8
idt_pointer:
    .word 256 * 8 - 1
    .long idt
    .balign 128
tss:
    .long 0, kernel_stack_top, DATA(0), ring_stacks + 0x1000, DATA(1), ring_stacks + 0x2000, DATA(2)
    .fill 18, 4, 0
    .word 0, 104                             // the bitmap begins behind the limit: none
io_bitmap: .fill 0x21, 1, 0xff
    .balign 4
hooks:
    .fill SAY, 4, 0
    .long service_say, service_hex, service_try, service_end_try, service_ring_exit
    .fill 255 - RING_EXIT, 4, 0

    .bss
    .balign 4096
page_directory: .skip 4096
page_table: .skip 2 * 4096
ring_stacks: .skip 3 * 4096                  // that of ring n grows down from ring_stacks + 4096 * n
kernel_stack: .skip 2 * 4096
kernel_stack_top:
idt: .skip 256 * 8
try_record: .skip 4                          // text, first byte, end of the attempt that runs; 0: none
try_stack: .skip 8                           // ESP, SS
try_cs: .skip 4
try_eflags: .skip 4
resume_registers: .skip 40
ring_return: .skip 4
boot_magic: .skip 4                          // EAX, EBX, EFLAGS, CR0 as the loader left them
boot_information: .skip 4
boot_eflags: .skip 4
boot_cr0: .skip 4
trace_begin: .skip 4
trace_end: .skip 4
