// SPDX-License-Identifier: Apache-2.0
// Does the 8254 tick as its modes say, through the 8259, counted in order and not in time? timer.md.
#include "runtime.inc"

#define ONE_MS 1193

    .globl guest
guest:
    hook IRQ(0), $tick
    // Mode 2: one edge per period.
    mov $0x34, %ah
    mov $ONE_MS, %ecx
    call start
    mov $10, %edx
    call wait_for_ticks
    say "mode 2: 10 ticks\n"
    // While it is masked a tick stays in the request register; unmasked it comes at once.
    call wait_for_request
    say "masked: ticks="
    say_hex ticks, 2
    call requested
    say " request="
    say_hex %eax, 1
    call in_service
    say " in service="
    say_hex %eax, 1
    in $0x21, %al
    say " mask="
    say_hex %eax, 2
    say "\n"

    // Mode 3: as many edges; mode 0: one.
    mov $0x36, %ah
    mov $ONE_MS, %ecx
    call start
    mov $10, %edx
    call wait_for_ticks
    say "mode 3: 10 ticks\n"
    mov $0x30, %ah
    mov $ONE_MS, %ecx
    call start
    mov $1, %edx
    call wait_for_ticks
    call unmask_and_wait
    say "mode 0: ticks="
    say_hex ticks, 2
    say "\n"
    // A new count starts it again.
    mov $ONE_MS & 0xff, %al
    out %al, $0x40
    mov $ONE_MS >> 8, %al
    out %al, $0x40
    mov $2, %edx
    call wait_for_ticks
    call unmask_and_wait
    say "mode 0, another count: ticks="
    say_hex ticks, 2
    say "\n"

    // Low byte alone, and count 0, which is 65536.
    mov $0x14, %al
    out %al, $0x43
    movl $0, ticks
    mov $250, %al
    out %al, $0x40
    mov $20, %edx
    call wait_for_ticks
    say "mode 2, low byte: 20 ticks\n"
    mov $0x34, %ah
    mov $0, %ecx
    call start
    mov $1, %edx
    call wait_for_ticks
    say "mode 2, count 0: 1 tick\n"

    // Without the end of interrupt none follows.
    hook IRQ(0), $tick_without_end
    mov $0x34, %ah
    mov $ONE_MS, %ecx
    call start
    mov $1, %edx
    call wait_for_ticks
    call unmask_and_wait
    call in_service
    say "no end of interrupt: ticks="
    say_hex ticks, 2
    say " in service="
    say_hex %eax, 1
    hook IRQ(0), $tick
    mov $0x20, %al
    out %al, $0x20
    mov $2, %edx
    call wait_for_ticks
    call in_service
    say ", then at least 2, in service="
    say_hex %eax, 1
    say "\n"

    // Read-back: the control word, and whether the count is loaded.
    mov $0x34, %al
    out %al, $0x43
    call status
    say "status, mode 2, no count: "
    and $0x7f, %al
    say_hex %eax, 2
    mov $ONE_MS & 0xff, %al
    out %al, $0x40
    mov $ONE_MS >> 8, %al
    out %al, $0x40
    call delay
    call status
    say ", with a count: "
    and $0x7f, %al
    say_hex %eax, 2
    say "\n"

    // A latched count is in range and stays until it is read.
    mov $200, %ebp
1:  call latched
    test %eax, %eax
    jz failed
    cmp $ONE_MS, %eax
    ja failed
    dec %ebp
    jnz 1b
    say "200 latched counts from 1 to the period\n"
    mov $0x34, %al                           // a period long enough that a millisecond does not wrap it
    out %al, $0x43
    mov $0, %al
    out %al, $0x40
    out %al, $0x40
    call delay
    mov $0, %al
    out %al, $0x43                           // latch
    call delay
    mov $0, %al
    out %al, $0x43                           // again: of no effect until the first is read
    call read_count
    mov %eax, %ebp
    call latched
    sub %eax, %ebp
    say "latched first, read later: the next is lower by more than a delay: "
    xor %eax, %eax
    cmp $ONE_MS, %bp
    setae %al
    say_hex %eax, 1
    say "\n"

    // Channel 2: its gate is port 61 bit 0, its output bit 5.
    mov $0xb0, %al
    out %al, $0x43
    in $0x61, %al
    and $0xfc, %al
    out %al, $0x61
    mov $50, %al
    out %al, $0x42
    mov $0, %al
    out %al, $0x42
    mov $0x34, %ah
    mov $ONE_MS, %ecx
    call start
    mov $3, %edx
    call wait_for_ticks
    in $0x61, %al
    shr $5, %al
    and $1, %eax
    say "channel 2, gate closed: output="
    say_hex %eax, 1
    in $0x61, %al
    or $1, %al
    out %al, $0x61
1:  in $0x61, %al
    test $0x20, %al
    jz 1b
    say ", gate open: it goes high\n"
    pass
failed:
    fail

// Control word %ah for channel 0, count %ecx, no ticks so far.
start:
    mov %ah, %al
    out %al, $0x43
    call pic_init                            // forgets a request of the mode before
    movl $0, ticks
    mov %cl, %al
    out %al, $0x40
    mov %ch, %al
    out %al, $0x40
    ret

// Waits for tick %edx, and masks at it.
wait_for_ticks:
    mov %edx, last_tick
    mov $0xfe, %al
    out %al, $0x21
1:  sti
    hlt
    cli
    cmp %edx, ticks
    jb 1b
    mov $0xff, %al
    out %al, $0x21
    ret

// Lets ticks in for three milliseconds.
unmask_and_wait:
    movl $-1, last_tick
    mov $0xfe, %al
    out %al, $0x21
    sti
    call delay
    call delay
    call delay
    cli
    mov $0xff, %al
    out %al, $0x21
    ret

tick:
    mov $0x20, %al
    out %al, $0x20
tick_without_end:
    incl ticks
    mov ticks, %eax
    cmp last_tick, %eax
    jb 1f
    mov $0xff, %al
    out %al, $0x21
1:  ret

wait_for_request:
    call requested
    test %al, %al
    jz wait_for_request
    ret
requested:
    mov $0x0a, %al
    jmp 1f
in_service:
    mov $0x0b, %al
1:  out %al, $0x20
    in $0x20, %al
    and $1, %eax
    ret

status:
    mov $0xe2, %al
    out %al, $0x43
    in $0x40, %al
    ret

latched:
    mov $0, %al
    out %al, $0x43
read_count:
    xor %eax, %eax
    in $0x40, %al
    mov %al, %cl
    in $0x40, %al
    mov %al, %ah
    mov %cl, %al
    ret

// A millisecond of channel 2, polled.
delay:
    in $0x61, %al
    and $0xfc, %al
    or $1, %al
    out %al, $0x61
    mov $0xb0, %al
    out %al, $0x43
    mov $ONE_MS & 0xff, %al
    out %al, $0x42
    mov $ONE_MS >> 8, %al
    out %al, $0x42
1:  in $0x61, %al
    test $0x20, %al
    jz 1b
    ret

    .bss
    .balign 4
ticks: .skip 4
last_tick: .skip 4
