// SPDX-License-Identifier: Apache-2.0
// Down to real mode, its segments, interrupts through the vector table, and back. real_mode.md.
// Real-mode code is copied to 0x8000 (segment 0x0800); what it finds goes into `found`, printed in protected mode.
#include "runtime.inc"

#define LOW 0x8000
#define SEGMENT 0x0800
#define CODE16 FREE(0)
#define DATA16 FREE(1)
#define IP(label) (label) - low_begin

    .section .rodata.names, "a"
names_of_found:
    .text
    .globl guest
guest:
    set_descriptor CODE16, $LOW, $0xffff, 0x9b, 0
    set_descriptor DATA16, $LOW, $0xffff, 0x93, 0
    // The loader's vector table is not ours to rely on: all of it leads to one handler, but for those below.
    xor %edi, %edi
    mov $SEGMENT << 16, %eax
    add $IP(on_any), %eax
    mov $256, %ecx
    rep stosl
    movw $IP(on_divide), 4 * 0
    movw $IP(on_step), 4 * 1
    movw $IP(on_breakpoint), 4 * 3
    movw $IP(on_overflow), 4 * 4
    movw $IP(on_bound), 4 * 5
    movw $IP(on_undefined), 4 * 6
    movw $IP(on_timer), 4 * 0x20
    movw $IP(on_int), 4 * 0x60
    mov $low_begin, %esi
    mov $LOW, %edi
    mov $low_end - low_begin, %ecx
    rep movsb
    movl $0xfeedface, 0x300000
    in_ring $0, $down

    mov $names_of_found, %esi
    mov $LOW + IP(found), %edi
1:  cmpb $0, (%esi)
    je 2f
    pushl %esi
    int $SAY
    lea 4(%esp), %esp
    say "="
    mov (%edi), %eax
    say_hex %eax
    say "\n"
    add $4, %edi
3:  lodsb
    test %al, %al
    jnz 3b
    jmp 1b
2:  mov %cr0, %eax
    say "back: cr0="
    and $1, %eax
    say_hex %eax, 1
    say " cs="
    mov %cs, %eax
    say_hex %eax, 4
    say "\n"
    // The protected-mode world works as before.
    in_ring $3, $user
    pass

user:
    try "ring 3 afterwards"
    cli
    end_try
    ring_exit

down:
    mov %esp, saved_esp
    mov $0x34, %al                           // the timer that will tick in real mode
    out %al, $0x43
    sidt saved_idt
    mov $DATA(0), %eax                       // FS keeps a flat limit: loads in real mode leave limits alone
    mov %eax, %fs
    mov $DATA16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x7000, %esp
    ljmp $CODE16, $IP(in_16)

    .globl back_in_32
back_in_32:
    mov $DATA(0), %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov saved_esp, %esp
    lidt saved_idt
    call pic_init
    ring_exit

    .section .trampoline, "a"
    .balign 16
low_begin:
    .code16
in_16:
    lidtl %cs:IP(real_idt)
    mov %cr0, %eax
    and $~CR0_PE, %eax
    mov %eax, %cr0
    ljmp $SEGMENT, $IP(in_real)
in_real:
    mov $SEGMENT, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    cld

.macro keep name, value:vararg
    .ifnc \value,%eax
    mov \value, %eax
    .endif
    .pushsection .rodata.names, "a"
    .asciz "\name"
    .popsection
    mov %eax, IP(found) + 4 * keep_count
    .set keep_count, keep_count + 1
.endm
    .set keep_count, 0

    xor %eax, %eax
    smsw %ax
    and $1, %ax
    keep "pe", %eax
    xor %eax, %eax
    mov %cs, %ax
    keep "cs", %eax
    xor %eax, %eax
    mov %ss, %ax
    keep "ss", %eax
    sidtl IP(scratch)
    movzwl IP(scratch), %eax
    keep "sidt limit", %eax
    keep "sidt base", IP(scratch) + 2
    // Segments are paragraphs.
    mov $0x0900, %ax
    mov %ax, %gs
    movl $0x12345678, %gs:0x0010
    keep "0900:0010 seen at 0800:1010", 0x1010
    mov $0xffff, %ax
    mov %ax, %gs
    mov %gs:0x0010, %eax                     // with A20 open this is 1 MiB: the multiboot header
    keep "ffff:0010", %eax
    // Bits that ring 0 may write.
    pushl $0x7cd7
    popfl
    pushfl
    pop %eax
    keep "flags, iopl and nt set", %eax
    pushw $2
    popfw
    // INT: FLAGS, CS, IP; IF and TF cleared inside.
    sti
    mov %sp, IP(scratch)
    stc
    int $0x60
here_60:
    cli
    movzwl IP(inside_flags), %eax
    keep "int 60: flags inside", %eax
    movzwl IP(pushed_flags), %eax
    keep "flags pushed", %eax
    movzwl IP(pushed_cs), %eax
    keep "cs pushed", %eax
    movzwl IP(pushed_ip), %eax
    sub $IP(here_60), %eax
    keep "ip pushed, off by", %eax
    movzwl IP(pushed_sp), %eax
    keep "bytes pushed", %eax
    // Exceptions: faults save their own IP, traps the next one.
    xor %eax, %eax
    xor %ecx, %ecx
    xor %edx, %edx
fault_divide:
    div %cx
    movzwl IP(pushed_ip), %eax
    sub $IP(fault_divide), %eax
    keep "#DE: ip off by", %eax
trap_breakpoint:
    int3
    movzwl IP(pushed_ip), %eax
    sub $IP(trap_breakpoint), %eax
    keep "#BP: ip off by", %eax
    mov $0x7f, %al
    inc %al
trap_overflow:
    into
    movzwl IP(pushed_ip), %eax
    sub $IP(trap_overflow), %eax
    keep "#OF: ip off by", %eax
    mov $7, %ax
fault_bound:
    bound %ax, IP(bounds)
    movzwl IP(pushed_ip), %eax
    sub $IP(fault_bound), %eax
    keep "#BR: ip off by", %eax
fault_undefined:
    ud2
    movzwl IP(pushed_ip), %eax
    sub $IP(fault_undefined), %eax
    keep "#UD of ud2: ip off by", %eax
    movl $0, IP(counter)
    xor %ax, %ax
    .byte 0x0f, 0x00, 0xd0                   // LLDT AX
    .byte 0x0f, 0x00, 0xd8                   // LTR AX
    .byte 0x0f, 0x00, 0xe0                   // VERR AX
    .byte 0x0f, 0x02, 0xc0                   // LAR AX, AX
    keep "#UD of lldt, ltr, verr, lar: count", IP(counter)
    // Single step over three NOPs and the POPF that ends it.
    movl $0, IP(counter)
    pushw $2 | FLAG_TF
    popfw
    nop
    nop
    nop
    pushw $2
    popfw
    keep "single steps", IP(counter)
    // 32-bit operands and addresses; FS still has the limit of protected mode.
    mov $0x300000, %ebx
    xor %ax, %ax
    mov %ax, %fs
    mov %fs:(%ebx), %eax
    keep "fs:300000 by the limit of protected mode", %eax
    mov $0x11223344, %eax
    pushl %eax
    pop %bx
    pop %cx
    movzwl %cx, %eax
    keep "upper word of a pushed dword", %eax
    // Calls and returns.
    xor %eax, %eax
    lcall $SEGMENT + 0x10, $IP(far_target) - 0x100
    keep "far call: cs inside", %eax
    xor %eax, %eax
    call near_target
    keep "near call: ax", %eax
    // String instructions and LOOP with 16-bit registers.
    mov $0xaaaa0004, %ecx
    mov $IP(bounds), %si
    mov $IP(scratch), %di
    rep movsb
    keep "rep movsb: ecx", %ecx
    keep "copied", IP(scratch)
    // The timer, through vector 0x20.
    movl $0, IP(counter)
    mov $0xfe, %al
    out %al, $0x21
    mov $200, %al
    out %al, $0x40
    mov $0, %al
    out %al, $0x40
1:  sti
    hlt
    cli
    cmpl $3, IP(counter)
    jb 1b
    movl $3, %eax
    keep "timer ticks waited for", %eax
    // Back.
    lgdtl %cs:IP(gdt_again)
    mov %cr0, %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $CODE(0), $back_in_32

far_target:
    mov %cs, %ax
    lret
near_target:
    mov $0x600d, %ax
    ret

.macro pushed skip
    push %bp
    mov %sp, %bp
    push %eax
    mov 2(%bp), %ax
    mov %ax, IP(pushed_ip)
    mov 4(%bp), %ax
    mov %ax, IP(pushed_cs)
    mov 6(%bp), %ax
    mov %ax, IP(pushed_flags)
    addw $\skip, 2(%bp)
    pop %eax
    pop %bp
.endm
on_int:
    pushfw
    popw IP(inside_flags)
    push %bp
    mov %sp, %bp
    push %eax
    mov IP(scratch), %ax
    sub %bp, %ax
    sub $2, %ax
    mov %ax, IP(pushed_sp)
    pop %eax
    pop %bp
    pushed 0
    iret
on_divide:
    pushed 2
    iret
on_breakpoint:
    pushed 0
    iret
on_overflow:
    pushed 0
    iret
on_bound:
    pushed 4
    iret
on_undefined:
    incl IP(counter)
    push %bp
    mov %sp, %bp
    push %bx
    mov 2(%bp), %bx
    cmpb $0x0b, %cs:1(%bx)                   // UD2 has two bytes, the others three
    pop %bx
    pop %bp
    je 1f
    pushed 3
    iret
1:  pushed 2
    iret
on_step:
    incl %cs:IP(counter)
    iret
on_timer:
    incl %cs:IP(counter)
    push %ax
    mov $0x20, %al
    out %al, $0x20
    pop %ax
on_any:
    iret

    .balign 4
real_idt:
    .word 0x3ff
    .long 0
gdt_again:
    .word FREE(52) - 1
    .long gdt
    .balign 4
bounds: .word 0, 5
scratch: .long 0, 0
counter: .long 0
pushed_ip: .word 0
pushed_cs: .word 0
pushed_flags: .word 0
pushed_sp: .word 0
inside_flags: .word 0
    .balign 4
found: .skip 4 * 64
low_end:
    .code32

    .section .rodata.names, "a"
    .byte 0

    .data
    .balign 8
saved_idt: .skip 8
saved_esp: .skip 4
