// SPDX-License-Identifier: Apache-2.0
// Interrupts by way of the I/O APIC and the local APIC, where the MP table says they are. io_apic.md.
#include "runtime.inc"

#define LOCAL 0xfee00000
#define TASK_PRIORITY (LOCAL + 0x80)
#define END_OF_INTERRUPT (LOCAL + 0xb0)
#define SPURIOUS (LOCAL + 0xf0)
#define IN_SERVICE(vector) (LOCAL + 0x100 + 0x10 * ((vector) / 32))
#define REQUESTED(vector) (LOCAL + 0x200 + 0x10 * ((vector) / 32))
#define COMMAND (LOCAL + 0x300)
#define TIMER (LOCAL + 0x320)
#define INITIAL_COUNT (LOCAL + 0x380)
#define CURRENT_COUNT (LOCAL + 0x390)
#define DIVIDE (LOCAL + 0x3e0)
#define IO 0xfec00000
#define MASKED 0x10000
#define LEVEL 0x8000
#define TICK 0x51
#define BYTE 0x61
#define OWN 0x71
#define HIGH 0x81

// Redirection entry of the input in `input`: its low half to EAX, or from a value; the high half is 0, the first processor.
.macro get_entry input
    mov \input, %eax
    lea 0x10(, %eax, 2), %eax
    mov %eax, IO
    mov IO + 0x10, %eax
.endm
.macro set_entry input, value
    mov \input, %edx
    lea 0x11(, %edx, 2), %edx
    mov %edx, IO
    movl $0, IO + 0x10
    dec %edx
    mov %edx, IO
    mov \value, %edx
    mov %edx, IO + 0x10
.endm
.macro wait_for counter, count
1:  cmpl $\count, \counter
    jb 1b
.endm

    .globl guest
guest:
    mov $1, %eax
    cpuid
    shr $9, %edx
    and $1, %edx
    say "cpuid.apic="
    say_hex %edx, 1
    call find_table
    call read_table
    hook TICK, $on_tick
    hook BYTE, $on_byte
    hook OWN, $on_own
    hook HIGH, $on_high
    movl $0x1ff, SPURIOUS
    movl $0, TASK_PRIORITY
    call timer_edges
    call serial_edges
    call serial_level
    call priorities
    call own_interrupts
    call local_timer
    pass

// The MP floating pointer: 16 bytes on a 16-byte boundary that begin with _MP_ and sum to 0.
find_table:
    mov $0xf0000, %esi
1:  cmpl $0x5f504d5f, (%esi)
    jne 2f
    mov $16, %ecx
    call sum_of
    jz 3f
2:  add $16, %esi
    cmp $0x100000, %esi
    jb 1b
    say "\nno table\n"
    fail
3:  mov 4(%esi), %esi
    mov %esi, table
    ret
sum_of:
    push %esi
    xor %edx, %edx
    xor %eax, %eax
1:  lodsb
    add %al, %dl
    loop 1b
    pop %esi
    test %dl, %dl
    ret

// Base table: signature, sum, and its entries: processors, the first I/O APIC, and which of its inputs ISA lines 0 and 4 are on.
read_table:
    mov table, %esi
    say "\ntable "
    cmpl $0x504d4350, (%esi)                 // PCMP
    jne 9f
    movzwl 4(%esi), %ecx
    call sum_of
    jnz 9f
    say "local="
    say_hex 0x24(%esi)
    movzwl 0x22(%esi), %ecx
    add $0x2c, %esi
1:  movzbl (%esi), %eax
    cmp $0, %al
    jne 2f
    incl processors
    add $20, %esi
    jmp 5f
2:  cmp $2, %al
    jne 3f
    mov 4(%esi), %edx
    mov %edx, io_address
3:  cmp $3, %al
    jne 4f
    cmpb $0, 1(%esi)                         // INT, from the ISA bus
    jne 4f
    movzbl 4(%esi), %edx
    cmp isa_bus, %dl
    jne 4f
    movzbl 5(%esi), %edx                     // its line
    movzbl 7(%esi), %ebx
    cmp $16, %edx
    jae 4f
    mov %ebx, inputs(, %edx, 4)
4:  cmp $1, %al
    jne 6f
    cmpl $0x20415349, 2(%esi)                // "ISA "
    jne 6f
    mov 1(%esi), %dl
    mov %dl, isa_bus
6:  add $8, %esi
5:  loop 1b
    say " io="
    say_hex io_address
    say " processors="
    say_hex processors, 2
    say " line 0 on "
    say_hex inputs, 2
    say " line 4 on "
    say_hex inputs + 16, 2
    say "\n"
    movl $0, IO                              // registers: identity, version
    movl $1, IO
    mov IO + 0x10, %eax
    shr $16, %eax
    and $0xff, %eax
    say "last input="
    say_hex %eax, 2
    say "\n"
    ret
9:  say "is broken\n"
    fail

// The 8254 at a kilohertz, by an edge each.
timer_edges:
    say "timer: entry "
    set_entry inputs, $TICK
    get_entry inputs
    say_hex %eax, 5
    mov $0x34, %al
    out %al, $0x43
    mov $0xa9, %al
    out %al, $0x40
    mov $0x04, %al
    out %al, $0x40
    sti
    wait_for ticks, 5
    cli
    set_entry inputs, $TICK + MASKED
    say " five ticks, in service "
    say_hex tick_service, 8
    say "\n"
    ret
on_tick:
    incl ticks
    mov IN_SERVICE(TICK), %eax
    mov %eax, tick_service
    movl $0, END_OF_INTERRUPT
    ret

// The transmitter is always empty: enabling its interrupt raises the line, reading IIR lowers it.
raise_serial:
    push %eax
    push %edx
    mov $0x3f9, %edx
    xor %al, %al
    out %al, %dx
    mov $2, %al
    out %al, %dx
    pop %edx
    pop %eax
    ret
lower_serial:
    push %eax
    push %edx
    mov $0x3fa, %edx
    in %dx, %al
    mov $0x3f9, %edx
    xor %al, %al
    out %al, %dx
    pop %edx
    pop %eax
    ret
enable_serial:
    mov $0x3fc, %edx
    mov $0x0b, %al                           // OUT2: the line is connected
    out %al, %dx
    ret
serial_edges:
    call enable_serial
    set_entry inputs + 16, $BYTE
    movl $1, patience                        // the handler leaves the line high, so no edge follows
    call raise_serial
    sti
    wait_for bytes, 1
    mov $20000, %ecx
1:  loop 1b
    cli
    say "edge: "
    say_hex bytes, 2
    call lower_serial
    call raise_serial
    sti
    wait_for bytes, 2
    cli
    call lower_serial
    say " and "
    say_hex bytes, 2
    // An edge while the input is masked is lost.
    set_entry inputs + 16, $BYTE + MASKED
    call raise_serial
    set_entry inputs + 16, $BYTE
    sti
    nop
    nop
    cli
    call lower_serial
    say " masked "
    say_hex bytes, 2
    say "\n"
    ret
// A level comes again at each end of interrupt until it is lowered.
serial_level:
    movl $0, bytes
    movl $4, patience
    set_entry inputs + 16, $BYTE + LEVEL
    call raise_serial
    sti
    wait_for bytes, 4
    mov $20000, %ecx
1:  loop 1b
    cli
    get_entry inputs + 16
    say "level: "
    say_hex bytes, 2
    say " entry "
    say_hex byte_entry, 5
    say " then "
    say_hex %eax, 5
    // A level while the input is masked waits.
    movl $0, bytes
    movl $1, patience
    set_entry inputs + 16, $BYTE + LEVEL + MASKED
    call raise_serial
    sti
    nop
    nop
    cli
    say " masked "
    say_hex bytes, 2
    set_entry inputs + 16, $BYTE + LEVEL
    sti
    wait_for bytes, 1
    cli
    say " then "
    say_hex bytes, 2
    say "\n"
    ret
on_byte:
    incl bytes
    get_entry inputs + 16
    mov %eax, byte_entry
    test $LEVEL, %eax
    jz 1f
    mov bytes, %eax
    cmp patience, %eax
    jb 1f
    call lower_serial
1:  movl $0, END_OF_INTERRUPT
    ret

// The task priority holds back what is not above it.
priorities:
    movl $0, bytes
    movl $1, patience
    movl $0x60, TASK_PRIORITY
    call raise_serial
    sti
    nop
    nop
    cli
    mov REQUESTED(BYTE), %eax
    say "priority: "
    say_hex bytes, 2
    say " requested "
    say_hex %eax, 8
    movl $0x50, TASK_PRIORITY
    sti
    wait_for bytes, 1
    cli
    say " then "
    say_hex bytes, 2
    movl $0, TASK_PRIORITY
    say "\n"
    ret

// Interrupts to itself: a higher one comes between, a lower one waits.
own_interrupts:
    say "own:"
    sti
    movl $0x40000 + OWN, COMMAND
    nop
    nop
    cli
    say "\n"
    ret
on_own:
    say " own("
    movl $0x40000 + OWN, COMMAND             // its like waits until it ends
    movl $0x40000 + HIGH, COMMAND
    sti
    nop
    nop
    cli
    incl owns
    say ")"
    cmpl $3, owns
    jb 1f
    hook OWN, $end_own                       // the fourth, which is asked for already, asks for no more
1:  movl $0, END_OF_INTERRUPT
    ret
end_own:
    say " last"
    movl $0, END_OF_INTERRUPT
    ret
on_high:
    say "high"
    movl $0, END_OF_INTERRUPT
    ret

local_timer:
    hook TICK, $on_local
    movl $0, ticks
    movl $0xb, DIVIDE                        // by 1
    movl $TICK, TIMER
    movl $100000, INITIAL_COUNT
    sti
    wait_for ticks, 1
    cli
    mov CURRENT_COUNT, %eax
    say "local timer: once, count "
    say_hex %eax
    movl $0x20000 + TICK, TIMER              // periodic
    movl $100000, INITIAL_COUNT
    sti
    wait_for ticks, 4
    cli
    movl $0, INITIAL_COUNT
    movl $MASKED, TIMER
    say ", then again and again\n"
    ret
on_local:
    incl ticks
    movl $0, END_OF_INTERRUPT
    ret

    .data
    .balign 4
table: .long 0
io_address: .long 0
processors: .long 0
inputs: .fill 16, 4, 0xff
ticks: .long 0
tick_service: .long 0
bytes: .long 0
byte_entry: .long 0
patience: .long 0
owns: .long 0
isa_bus: .byte 0xff
