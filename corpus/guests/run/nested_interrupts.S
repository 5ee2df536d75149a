// SPDX-License-Identifier: Apache-2.0
// In which order do interrupts come when handlers allow others, and exceptions within exceptions? nested_interrupts.md.
// The timer (line 0) writes T and t, the serial line (line 4) U and u, at begin and end of its handler; x is where one leaves.
#include "runtime.inc"

.macro note letter
    push %eax
    mov $\letter, %al
    call write_note
    pop %eax
.endm

// Runs `code` with an empty log and both lines open, then prints the log.
.macro events text, code
    movl $log, log_end
    \code
    cli
    say "\text: "
    call print_log
.endm

    .globl guest
guest:
    mov $0x3fc, %dx                          // OUT2 lets the serial line's interrupts through
    mov $0x0b, %al
    out %al, %dx
    mov $0xee, %al
    out %al, $0x21
    hook IRQ(0), $timer_interrupt
    hook IRQ(4), $serial_interrupt
    in_ring $0, $orders
    say "from ring 3\n"
    in_ring $3, $orders, $2 | IOPL(3)
    hook 0x60, $outer_handler
    movb $0xee, idt + 8 * 0x60 + 5
    hook 6, $middle_handler
    hook 3, $inner_handler
    in_ring $0, $exceptions
    in_ring $3, $exceptions
    pass

orders:
    movl $timer_plain, timer_hook
    movl $serial_plain, serial_hook
    events "timer alone", "call start_timer; call wait_for_timer; sti; nop"
    events "serial alone", "call drain; call start_serial; sti; nop; nop"
    // Both wait: line 0 goes first.
    events "both pending", "call drain; call start_serial; call start_timer; call wait_for_timer; sti; nop; nop"
    // The serial handler lets the timer in before its end of interrupt, for line 0 has the higher priority.
    movl $serial_lets_timer_in, serial_hook
    events "timer within serial", "call drain; call start_serial; sti; nop; nop"
    // The timer's handler lets all in, but before its end of interrupt the serial line has to wait.
    movl $timer_lets_serial_in, timer_hook
    movl $serial_plain, serial_hook
    events "serial held back by timer", "call drain; call start_timer; call wait_for_timer; sti; nop; nop"
    movl $timer_ends_first, timer_hook
    events "serial within timer after its end", "call drain; call start_timer; call wait_for_timer; sti; nop; nop"
    // A handler within itself, three deep.
    movl $timer_recursive, timer_hook
    movl $3, depth
    events "timer within itself", "call start_timer; call wait_for_timer; sti; nop"
    ring_exit

exceptions:
    movl $log, log_end
    int $0x60
    say "int 60, within it ud2, within it int3: "
    call print_log
    ring_exit

outer_handler:
    note 'A'
    ud2
    note 'a'
    ret
middle_handler:
    note 'B'
    int3
    addl $2, FRAME_EIP(%ebx)
    note 'b'
    ret
inner_handler:
    note 'C'
    ret

timer_plain:
    note 'T'
    note 't'
end_of_interrupt:
    mov $0x20, %al
    out %al, $0x20
    ret

serial_plain:
    note 'U'
    call quiet_serial
    note 'u'
    jmp end_of_interrupt

serial_lets_timer_in:
    note 'U'
    call quiet_serial
    call start_timer
    sti
1:  cmpl $0, timer_seen
    je 1b
    cli
    note 'u'
    jmp end_of_interrupt

timer_lets_serial_in:
    note 'T'
    call start_serial
    sti
1:  mov $0x0a, %al                           // until it waits in the request register
    out %al, $0x20
    in $0x20, %al
    test $0x10, %al
    jz 1b
    note 't'
    mov $0x20, %al
    out %al, $0x20
1:  cmpl $0, serial_seen
    je 1b
    cli
    note 'x'
    ret

timer_ends_first:
    note 'T'
    mov $0x20, %al
    out %al, $0x20
    call start_serial
    sti
1:  cmpl $0, serial_seen
    je 1b
    cli
    note 't'
    ret

timer_recursive:
    note 'T'
    mov $0x20, %al
    out %al, $0x20
    decl depth
    jz 2f
    pushl depth
    call start_timer
    sti
1:  cmpl $0, timer_seen
    je 1b
    cli
    popl %eax
2:  note 't'
    ret

timer_interrupt:
    movl $1, timer_seen
    jmp *timer_hook
serial_interrupt:
    movl $1, serial_seen
    jmp *serial_hook

start_timer:
    movl $0, timer_seen
    mov $0x30, %al
    out %al, $0x43
    mov $100, %al
    out %al, $0x40
    mov $0, %al
    out %al, $0x40
    ret
wait_for_timer:
    mov $0x0a, %al
    out %al, $0x20
    in $0x20, %al
    test $1, %al
    jz wait_for_timer
    ret
// The transmitter is empty: to allow its interrupt is to raise it.
start_serial:
    movl $0, serial_seen
    mov $0x3f9, %dx
    mov $2, %al
    out %al, %dx
    ret
quiet_serial:
    mov $0x3fa, %dx
    in %dx, %al
    mov $0x3f9, %dx
    mov $0, %al
    out %al, %dx
    ret
drain:
    mov $0x3fd, %dx
1:  in %dx, %al
    and $0x60, %al
    cmp $0x60, %al
    jne 1b
    ret

write_note:
    push %edx
    mov log_end, %edx
    mov %al, (%edx)
    movb $0, 1(%edx)
    incl log_end
    pop %edx
    ret

print_log:
    pushl $log
    int $SAY
    lea 4(%esp), %esp
    say "\n"
    ret

    .bss
    .balign 4
timer_hook: .skip 4
serial_hook: .skip 4
timer_seen: .skip 4
serial_seen: .skip 4
depth: .skip 4
log_end: .skip 4
log: .skip 64
