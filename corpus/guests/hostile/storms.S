// SPDX-License-Identifier: Apache-2.0
// Interrupts as fast as they come, and floods on the serial line. storms.md.
#include "hostile.inc"

#define TICKS 20000

    .globl guest
guest:
    cases
    on timer, timer
    on timer_halted, timer_halted
    on timer_endless, timer_endless
    on nested, nested
    on software, software
    on traps, traps
    on serial, serial
    on serial_line, serial_line
    on serial_interrupts, serial_interrupts
    on own, own
    on own_endless, own_endless
    on level, level
    on level_endless, level_endless
    on local_timer, local_timer
    end_cases

// Channel 0 as a rate generator at half its clock, every 1.7 microseconds.
fastest_timer:
    mov $0x34, %al
    out %al, $0x43
    mov $2, %al
    out %al, $0x40
    xor %al, %al
    out %al, $0x40
    mov $0xfe, %al
    out %al, $0x21
    ret
count_tick:
    mov $0x20, %al
    out %al, $0x20
    incl ticks
    ret
timer:
    hook IRQ(0), $count_tick
    call fastest_timer
    sti
1:  cmpl $TICKS, ticks
    jb 1b
    cli
    say "enough\n"
    pass
timer_halted:
    hook IRQ(0), $count_tick
    call fastest_timer
1:  sti
    hlt
    cmpl $TICKS, ticks
    jb 1b
    cli
    say "enough\n"
    pass
timer_endless:
    hook IRQ(0), $count_tick
    call fastest_timer
    sti
    jmp .
// A handler that lets the next one in before it is done: the stack goes down for ever.
nested:
    hook IRQ(0), $take_next
    call fastest_timer
    sti
    jmp .
take_next:
    mov $0x20, %al
    out %al, $0x20
    sti
1:  jmp 1b
software:
    hook 0x60, $do_nothing
    mov $500000, %ecx
1:  int $0x60
    loop 1b
    say "enough\n"
    pass
do_nothing:
    ret
traps:
    hook 1, $do_nothing
    pushl $FLAG_TF | 2
    popfl
    jmp .
serial:
    mov $0x3f8, %edx
1:  mov $'a', %al
    out %al, %dx
    jmp 1b
serial_line:
    mov $0x3f8, %edx
1:  mov $'a', %al
    out %al, %dx
    mov $'\n', %al
    out %al, %dx
    jmp 1b
// Transmitter-empty interrupts, each answered with a byte, which makes the next one.
serial_interrupts:
    hook IRQ(4), $send_one
    mov $0x3fc, %edx
    mov $0x0b, %al
    out %al, %dx
    mov $0xef, %al
    out %al, $0x21
    mov $0x3f9, %edx
    mov $2, %al
    out %al, %dx
    sti
    jmp .
send_one:
    mov $0x3fa, %edx
    in %dx, %al
    mov $0x3f8, %edx
    mov $'a', %al
    out %al, %dx
    mov $0x20, %al
    out %al, $0x20
    ret

// --- with APICs
#define LOCAL 0xfee00000
#define IO 0xfec00000
#define VECTOR 0x51
local_on:
    movl $0x1ff, LOCAL + 0xf0
    movl $0, LOCAL + 0x80
    ret
send_to_self:
    movl $0x40000 + VECTOR, LOCAL + 0x300
    ret
// A handler that asks for itself again: the code that it came into gets no further.
own:
    movl $TICKS, patience
own_endless:
    hook VECTOR, $count_and_send
    call local_on
    call send_to_self
    sti
    jmp .
count_and_send:
    call send_to_self
    jmp count_local
// A level that nobody lowers comes again at each end of interrupt.
raise_level:
    call local_on
    movl $0x19, IO                           // input 4
    movl $0, IO + 0x10
    movl $0x18, IO
    movl $0x8000 + VECTOR, IO + 0x10
    mov $0x3fc, %edx
    mov $0x0b, %al
    out %al, %dx
    mov $0x3f9, %edx
    mov $2, %al
    out %al, %dx
    ret
level:
    movl $TICKS, patience
level_endless:
    hook VECTOR, $count_local
    call raise_level
    sti
    jmp .
count_local:
    movl $0, LOCAL + 0xb0
    incl ticks
    mov patience, %eax
    cmp %eax, ticks
    je enough
    ret
enough:
    say "enough\n"
    pass
// The local timer, every nanosecond.
local_timer:
    hook VECTOR, $count_local
    call local_on
    movl $0xb, LOCAL + 0x3e0
    movl $0x20000 + VECTOR, LOCAL + 0x320
    movl $1, LOCAL + 0x380
    sti
1:  cmpl $TICKS, ticks
    jb 1b
    cli
    say "enough\n"
    pass
    .data
ticks: .long 0
patience: .long 0
