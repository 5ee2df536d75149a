// SPDX-License-Identifier: Apache-2.0
// Virtual-8086 mode under a monitor: what faults at IOPL 0 and 3, the frame, ports, interrupts, reflection. v86.md.
// The 16-bit code is copied to 0x8000; each question stands in a slot of 16 bytes, and the monitor goes on in the next one.
#include "runtime.inc"

#define LOW 0x8000
#define SEGMENT 0x0800
#define IP(label) (label) - low_begin
#define FOUND(label) LOW+label-low_begin     // where the copy has it

.macro enter_v86 start, flags
    mov %esp, tss + 4
    mov %esp, saved_esp
    movl $9f, continuation
    pushl $0x4444                            // GS
    pushl $0x3333                            // FS
    pushl $SEGMENT                           // DS
    pushl $0x2222                            // ES
    pushl $0x0900                            // SS
    pushl $0x1000                            // ESP
    pushl $(\flags) | FLAG_VM | 2
    pushl $SEGMENT
    pushl $IP(\start)
    iret
9:
.endm

    .globl guest
guest:
    xor %edi, %edi
    mov $0x8000, %ecx
    xor %eax, %eax
    rep stosb
    mov $low_begin, %esi
    mov $LOW, %edi
    mov $low_end - low_begin, %ecx
    rep movsb
    // A bitmap that closes port 0x81 alone.
    mov $io_bitmap, %edi
    mov $0x20, %ecx
    rep stosb
    movb $2, io_bitmap + 0x10
    set_descriptor TSS_SELECTOR, $tss, $(104+0x20), 0x89, 0
    mov $TSS_SELECTOR, %eax
    ltr %ax
    hook 13, $general_protection
    hook 6, $undefined
    hook 0, $divide_error
    hook 4, $overflow
    hook 3, $trap
    hook 0x60, $software_interrupt
    movb $0xee, idt + 8 * 0x60 + 5
    hook 0x61, $software_interrupt           // its gate has DPL 0
    movl $plain, on_fault

    say "frame of a fault\n"
    movl $show_frame, on_fault
    enter_v86 only_hlt, 0
    movl $plain, on_fault
    say "iopl 0\n"
    enter_v86 questions, 0
    say "iopl 3\n"
    enter_v86 questions, IOPL(3)
    say "interrupts, iopl 3\n"
    enter_v86 interrupts, IOPL(3)
    say "interrupts, iopl 0\n"
    enter_v86 interrupts, 0
    say "reflected by the monitor, iopl 0\n"
    movl $reflect, on_fault
    movw $IP(handler_16), 4 * 0x21
    movw $SEGMENT, 4 * 0x21 + 2
    enter_v86 reflected, 0
    say "found: "
    say_hex FOUND(count), 4
    say " flags="
    say_hex FOUND(flags_seen), 4
    say " then="
    say_hex FOUND(flags_then), 4
    say " popped="
    say_hex FOUND(flags_popped), 4
    say "\n"
    movl $plain, on_fault
    say "paged, the code at another physical address\n"
    call paging_on
    mov $LOW, %esi
    mov $0x308000, %edi
    mov $0x1000, %ecx
    rep movsb
    movl $0x11111111, LOW + IP(count)
    movl $0x22222222, 0x308000 + IP(count)
    movl $0x308007, page_table + 4 * 8
    mov %cr3, %eax
    mov %eax, %cr3
    enter_v86 mapped, IOPL(3)
    say "ax="
    say_hex visit_eax, 4
    say "\n"
    pass

// --- the monitor
general_protection:
    testl $FLAG_VM, FRAME_EFLAGS(%ebx)
    jz guest_failed
    movzwl FRAME_CS(%ebx), %esi
    shl $4, %esi
    add FRAME_EIP(%ebx), %esi
    cmpb $0xf4, (%esi)                       // HLT, CLC ends the visit
    jne 1f
    cmpb $0xf8, 1(%esi)
    je leave
1:  jmp *on_fault

// Names the slot, says what ended it, and goes on in the next one.
plain:
    call print_name
    cmpb $0xf4, (%esi)
    jne 1f
    testl $15, FRAME_EIP(%ebx)
    jz 1f
    say "ok\n"
    jmp next_slot
1:  say "#GP error="
    say_hex FRAME_ERROR(%ebx)
    jmp at_place
undefined:
    call print_name
    say "#UD"
    jmp at_place
divide_error:
    call print_name
    say "#DE"
    jmp at_place
trap:
    call print_name
    say "#BP"
    jmp with_flags
overflow:
    call print_name
    say "#OF"
    jmp with_flags
software_interrupt:
    call print_name
    say "int "
    say_hex FRAME_VECTOR(%ebx), 2
with_flags:
    say " vm, iopl="
    mov FRAME_EFLAGS(%ebx), %eax
    and $FLAG_VM | IOPL(3), %eax
    say_hex %eax, 5
at_place:
    say " ip="
    mov FRAME_EIP(%ebx), %eax
    and $15, %eax
    say_hex %eax, 1
    say "\n"
next_slot:
    orl $15, FRAME_EIP(%ebx)
    incl FRAME_EIP(%ebx)
    ret

print_name:
    mov FRAME_EIP(%ebx), %eax
    sub $IP(slots), %eax
    shr $4, %eax
    pushl names(, %eax, 4)
    int $SAY
    lea 4(%esp), %esp
    say ": "
    ret

leave:
    mov FRAME_EAX(%ebx), %eax
    mov %eax, visit_eax
    mov saved_esp, %esp
    jmp *continuation

show_frame:
    say " cs="
    say_hex FRAME_CS(%ebx), 4
    say " eip="
    say_hex FRAME_EIP(%ebx)
    say " ss="
    say_hex FRAME_SS(%ebx), 4
    say " esp="
    say_hex FRAME_ESP(%ebx)
    say " es="
    say_hex FRAME_V86_ES(%ebx), 4
    say " ds="
    say_hex FRAME_V86_DS(%ebx), 4
    say " fs="
    say_hex FRAME_V86_FS(%ebx), 4
    say " gs="
    say_hex FRAME_V86_GS(%ebx), 4
    lea FRAME_V86_GS + 4(%ebx), %eax
    sub tss + 4, %eax
    say " above esp0="
    say_hex %eax, 1
    // Inside, the data segments were null before the runtime loaded its own.
    say "\n ds, es saved by the handler="
    say_hex FRAME_DS(%ebx), 4
    say " "
    say_hex FRAME_ES(%ebx), 4
    mov %fs, %eax
    say " fs, gs inside="
    say_hex %eax, 4
    say " "
    mov %gs, %eax
    say_hex %eax, 4
    say "\n"
    jmp leave

// INT n, PUSHF, POPF, CLI, STI and IRET of a guest at IOPL 0, with an IF of its own.
reflect:
    movzbl (%esi), %eax
    movzwl FRAME_SS(%ebx), %edi
    shl $4, %edi
    movzwl FRAME_ESP(%ebx), %edx
    cmp $0xcd, %al
    je 1f
    cmp $0xcf, %al
    je 2f
    cmp $0x9c, %al
    je 3f
    cmp $0x9d, %al
    je 4f
    cmp $0xfa, %al
    je 5f
    cmp $0xfb, %al
    jne guest_failed
    orl $FLAG_IF, virtual_if
    jmp 6f
5:  andl $~FLAG_IF, virtual_if
6:  incl FRAME_EIP(%ebx)
    ret
3:  sub $2, %edx
    call guest_flags
    mov %ax, (%edi, %edx)
    mov %edx, FRAME_ESP(%ebx)
    jmp 6b
4:  mov (%edi, %edx), %ax
    add $2, %edx
    mov %edx, FRAME_ESP(%ebx)
    call set_guest_flags
    jmp 6b
1:  movzbl 1(%esi), %ecx
    addl $2, FRAME_EIP(%ebx)
    sub $6, %edx
    call guest_flags
    mov %ax, 4(%edi, %edx)
    mov FRAME_CS(%ebx), %eax
    mov %ax, 2(%edi, %edx)
    mov FRAME_EIP(%ebx), %eax
    mov %ax, (%edi, %edx)
    mov %edx, FRAME_ESP(%ebx)
    andl $~FLAG_IF, virtual_if
    movzwl (, %ecx, 4), %eax
    mov %eax, FRAME_EIP(%ebx)
    movzwl 2(, %ecx, 4), %eax
    mov %eax, FRAME_CS(%ebx)
    ret
2:  movzwl (%edi, %edx), %eax
    mov %eax, FRAME_EIP(%ebx)
    movzwl 2(%edi, %edx), %eax
    mov %eax, FRAME_CS(%ebx)
    mov 4(%edi, %edx), %ax
    add $6, %edx
    mov %edx, FRAME_ESP(%ebx)
set_guest_flags:
    movzwl %ax, %eax
    mov %eax, %ecx
    and $FLAG_IF, %ecx
    mov %ecx, virtual_if
    and $0xcd5, %eax
    andl $~0xcd5, FRAME_EFLAGS(%ebx)
    or %eax, FRAME_EFLAGS(%ebx)
    ret
guest_flags:
    mov FRAME_EFLAGS(%ebx), %eax
    and $~FLAG_IF, %eax
    or virtual_if, %eax
    ret

    .section .rodata.names, "a"
    .balign 4
names:
    .text
// A slot: its code, then HLT, which faults at any IOPL and says that the code did not.
.macro slot name, code
    .pushsection .rodata.strings, "a"
77: .asciz "\name"
    .popsection
    .pushsection .rodata.names, "a"
    .long 77b
    .popsection
    .balign 16, 0xfc
    \code
    hlt
.endm
.macro last_slot
    .pushsection .rodata.names, "a"
    .long 0
    .popsection
    .balign 16, 0xfc
    hlt
    clc
.endm

    .section .trampoline, "a"
    .balign 16
low_begin:
    .code16
only_hlt:
    nop
    hlt
    .balign 16, 0xfc                         // CLD: padding of NOPs would be 32-bit ones
slots:
questions:
    slot "cli", "cli"
    slot "sti", "sti; cli"
    slot "pushf", "pushfw; popw %ax"
    slot "pushf, 32 bits", "pushfl; popl %eax"
    slot "popf", "pushw $2; popfw"
    slot "iret", "pushw $2; pushw %cs; mov $1f-low_begin, %ax; pushw %ax; iret; 1:"
    slot "hlt", "hlt"
    slot "in 80", "in $0x80, %al"
    slot "in 81", "in $0x81, %al"
    slot "out 80", "out %al, $0x80"
    slot "in 80, 2 bytes", "in $0x80, %ax"
    slot "mov from cr0", "mov %cr0, %eax"
    slot "mov to cr0", "mov %eax, %cr0"
    slot "mov from dr7", "mov %dr7, %eax"
    slot "clts", "clts"
    slot "lgdt", "lgdtw count-low_begin"
    slot "lmsw", "lmsw %ax"
    slot "invlpg", "invlpg (%bx)"
    slot "lldt", ".byte 0x0f, 0x00, 0xd0"
    slot "ltr", ".byte 0x0f, 0x00, 0xd8"
    slot "sldt", ".byte 0x0f, 0x00, 0xc0"
    slot "str", ".byte 0x0f, 0x00, 0xc8"
    slot "verr", ".byte 0x0f, 0x00, 0xe0"
    slot "lar", ".byte 0x0f, 0x02, 0xc0"
    slot "lsl", ".byte 0x0f, 0x03, 0xc0"
    slot "arpl", ".byte 0x63, 0xc0"
    slot "smsw", "smsw %ax"
    slot "sgdt", "sgdtw table-low_begin"
    slot "cpuid", "cpuid"
    slot "load of ds", "mov %ds, %ax; mov %ax, %ds"
    slot "load of ss", "mov %ss, %ax; mov %ax, %ss"
    slot "far jump", "ljmp $0x0800, $1f-low_begin; 1:"
    slot "far call", "lcall $0x0800, $far_target-low_begin"
    slot "div by 0", "xor %cx, %cx; div %cx"
    slot "ud2", "ud2"
    slot "word at ffff", "mov 0xffff, %ax"
    slot "byte at 10000", "mov $0x10000, %ebx; mov (%ebx), %al"
    last_slot
interrupts:
    slot "int 60", "int $0x60"
    slot "int 61, whose gate has dpl 0", "int $0x61"
    slot "int3", "int3"
    slot "int 3", ".byte 0xcd, 0x03"
    slot "into", "mov $0x7f, %al; inc %al; into"
    last_slot
    .balign 16, 0xfc
reflected:
    sti
    int $0x21
    pushfw
    popw IP(flags_seen)
    cli
    pushfw
    popw IP(flags_then)
    pushw $0x0ed5
    popfw
    pushfw
    popw IP(flags_popped)
    .balign 16, 0xfc
    hlt
    clc
    .balign 16, 0xfc
mapped:
    mov IP(count), %ax
    .balign 16, 0xfc
    hlt
    clc
far_target:
    lret
handler_16:
    incw IP(count)
    pushfw
    popw %ax
    test $FLAG_IF, %ax
    jz 1f
    addw $0x100, IP(count)
1:  iret
    .balign 4
count: .long 0
flags_seen: .long 0
flags_then: .long 0
flags_popped: .long 0
table: .skip 8
low_end:
    .code32

    .bss
    .balign 4
saved_esp: .skip 4
continuation: .skip 4
on_fault: .skip 4
virtual_if: .skip 4
visit_eax: .skip 4
