// SPDX-License-Identifier: Apache-2.0
// The monitor's pages among the guest's addresses (executor/ABI.md). area.md.
#include "hostile.inc"

#define STUBS 0xfc000000
#define GATE 0xfe000000
#define VCPU 0xfe001000
#define PENDING 0xfe002000
#define CALL_SITE (VCPU + 0xb8)

    .globl guest
guest:
    cases
    on read, read
    on scribble, scribble
    on scribble_ring3, scribble_ring3
    on gate_numbers, gate_numbers
    on gate_ring3, gate_ring3
    on gate_middle, gate_middle
    on gate_no_stack, gate_no_stack
    on user_gate, user_gate
    on stubs, stubs
    on map_over, map_over
    end_cases
// The top 64 MiB as pages of 4 MiB that user code may use too, if nobody else is there.
on_top:
    movl $0x87, big_directory
    movl $0x87, big_directory + (STUBS >> 20)
    movl $0x87, big_directory + (GATE >> 20)
    big_page 0x87
    run_natively
    ret
read:
    call on_top
    in_ring $3, $read_all
    in_ring $0, $read_all
    pass
read_all:
    run_natively
    mov $GATE, %esi
    mov $0x800, %ecx
    rep lodsl
    run_natively
    say "read\n"
    ring_exit
scribble:
    call on_top
    in_ring $0, $write_all
    pass
scribble_ring3:
    call on_top
    in_ring $3, $write_all
    pass
write_all:
    mov $0x12345678, %eax
1:  run_natively
    mov $VCPU, %edi
    mov $0x400, %ecx
    rep stosl
    run_natively
    pushfl
    popl %ebx
    str %ecx
    smsw %ecx
    sidt scratch
    imul $1103515245, %eax, %eax
    add $12345, %eax
    incl rounds
    cmpl $40, rounds
    jb 1b
    movl $-1, VCPU + 8                       // IF, IOPL
    movl $-1, VCPU + 16
    run_natively
    pushfl
    popl %ebx
    say "scribbled\n"
    ring_exit
gate_numbers:
    call on_top
    in_ring $0, $call_gate
    pass
gate_ring3:
    call on_top
    in_ring $3, $call_gate
    pass
call_gate:
    run_natively
    movl $0x12345, CALL_SITE                 // no plan has so many
    hidden_far_jump GATE
gate_middle:
    call on_top
    run_natively
    hidden_far_jump GATE + 3
gate_no_stack:
    call on_top
    run_natively
    mov $0x10, %esp
    movl $-1, CALL_SITE
    hidden_far_jump GATE
user_gate:
    call on_top
    run_natively
    mov $STUBS + 0x1000, %esp
    hidden_far_jump GATE + 0x100
stubs:
    call on_top
    run_natively
    mov $STUBS + 0x123, %eax
    call *%eax
    pass
// Own pages at the monitor's addresses, small ones, and large ones over them.
map_over:
    movl $0x83, big_directory
    movl $0x400083, big_directory + (GATE >> 20)
    big_page
    run_natively
    mov $GATE, %edi
    mov $0x5a5a5a5a, %eax
    mov $0x800, %ecx
    rep stosl
    invlpg GATE
    mov %cr3, %eax
    mov %eax, %cr3
    run_natively
    mov $GATE, %esi
    mov $0x800, %ecx
    rep lodsl
    say "mapped\n"
    pass
    .data
rounds: .long 0
scratch: .skip 8
