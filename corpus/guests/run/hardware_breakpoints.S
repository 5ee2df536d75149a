// SPDX-License-Identifier: Apache-2.0
// What do DR0-DR3 stop, where, and what does DR6 say? hardware_breakpoints.md.
#include "runtime.inc"

// DR7: enable breakpoint n locally, with type (0 execute, 1 write, 2 I/O, 3 read or write) and length (0, 1, 3: 1, 2, 4 bytes).
#define ENABLE(n, type, length) ((1 << (2 * (n))) | ((type) << (16 + 4 * (n))) | ((length) << (18 + 4 * (n))))
#define GENERAL_DETECT 0x2000

.macro arm value
    mov $(\value) | 0x400, %eax
    mov %eax, %dr7
.endm
// Runs `code` with breakpoints armed; every #DB prints its offset and DR6.
.macro watch text, dr7, code
    say "\text:"
    movl $771f, base
    arm \dr7
771:
    \code
    arm 0
    say "\n"
.endm

    .globl guest
guest:
    hook 1, $debug
    xor %eax, %eax
    mov %eax, %dr6
    say "as they were: dr6="
    mov %dr6, %eax
    say_hex %eax
    mov %dr7, %eax
    say " dr7="
    say_hex %eax
    say "\n"
    in_ring $0, $data
    in_ring $0, $code
    in_ring $0, $ports
    in_ring $0, $registers
    say "ring 3\n"
    mov $memory, %eax
    mov %eax, %dr0
    mov $user_place, %eax
    mov %eax, %dr1
    arm ENABLE(0, 1, 3) | ENABLE(1, 0, 0)
    in_ring $3, $user
    arm 0
    pass

// Prints the offset and the bits of DR6 that are set: 0-3, 13 BD, 14 BS. An instruction breakpoint goes on by RF.
debug:
    mov $' ', %al
    call putc
    mov FRAME_EIP(%ebx), %eax
    sub base, %eax
    mov $2, %ecx
    call put_hex
    mov $'/', %al
    call putc
    mov %dr6, %eax
    and $0x600f, %eax
    mov $4, %ecx
    call put_hex
    xor %eax, %eax
    mov %eax, %dr6
    orl $FLAG_RF, FRAME_EFLAGS(%ebx)
    ret

data:
    mov $memory, %esi
    mov %esi, %dr0
    watch "write of 4", ENABLE(0, 1, 3), "movl $1, (%esi); nop"
    watch "read, write of 4 watched", ENABLE(0, 1, 3), "movl (%esi), %eax; nop"
    watch "read, both watched", ENABLE(0, 3, 3), "movl (%esi), %eax; nop"
    watch "byte inside, byte behind", ENABLE(0, 1, 3), "movb $1, 3(%esi); movb $1, 4(%esi); nop"
    watch "dword across its begin", ENABLE(0, 1, 3), "movl $1, -2(%esi); nop"
    watch "one byte watched", ENABLE(0, 1, 0), "movb $1, 1(%esi); movb $1, (%esi); nop"
    watch "two bytes watched", ENABLE(0, 1, 1), "movb $1, 2(%esi); movb $1, 1(%esi); nop"
    watch "globally enabled", 2 | (1 << 16) | (3 << 18), "movl $1, (%esi); nop"
    watch "not enabled", (1 << 16) | (3 << 18), "movl $1, (%esi); nop"
    lea 4(%esi), %eax
    mov %eax, %dr1
    mov %eax, %dr3
    watch "two at once", ENABLE(0, 1, 3) | ENABLE(1, 1, 3), "movl $1, 2(%esi); nop"
    watch "0 and 3 of one address each", ENABLE(0, 1, 3) | ENABLE(3, 1, 3), "movl $1, (%esi); movl $1, 4(%esi); nop"
    watch "push, pop", ENABLE(0, 3, 3), "pushl (%esi); popl (%esi); nop"
    watch "read, modify, write", ENABLE(0, 1, 3), "incl (%esi); nop"
    mov $memory - 8, %edi
    mov $4, %ecx
    xor %eax, %eax
    say "rep stosl over it: ecx at the trap"
    hook 1, $debug_count
    arm ENABLE(0, 1, 3)
    xor %eax, %eax
    rep stosl
    arm 0
    hook 1, $debug
    say "\n"
    ring_exit

// The instruction that wrote has finished when the trap comes.
debug_count:
    mov $' ', %al
    call putc
    mov FRAME_ECX(%ebx), %eax
    mov $1, %ecx
    call put_hex
    xor %eax, %eax
    mov %eax, %dr6
    ret

code:
    mov $1f, %eax
    mov %eax, %dr0
    mov $2f, %eax
    mov %eax, %dr2
    watch "two places", ENABLE(0, 0, 0) | ENABLE(2, 0, 0), "nop; 1: nop; nop; 2: nop"
    mov $1f, %eax
    mov %eax, %dr0
    mov $3, %ecx
    watch "in a loop of 3", ENABLE(0, 0, 0), "nop; 1: loop 1b"
    mov $1f + 1, %eax
    mov %eax, %dr0
    watch "inside an instruction", ENABLE(0, 0, 0), "nop; 1: mov $0, %eax; nop"
    mov $1f, %eax
    mov %eax, %dr0
    // RF set by IRET lets one instruction through.
    pushl $2 | FLAG_RF
    pushl %cs
    pushl $1f
    watch "iret to it with rf", ENABLE(0, 0, 0), "iret; nop; 1: nop; nop"
    mov $1f, %eax
    mov %eax, %dr0
    ring_exit

ports:
    mov $CR4_DE, %eax
    mov %eax, %cr4
    mov $0x80, %eax
    mov %eax, %dr0
    mov $0x84, %eax
    mov %eax, %dr1
    watch "in, out, another port", ENABLE(0, 2, 0), "in $0x80, %al; out %al, $0x80; in $0x81, %al; nop"
    watch "four ports", ENABLE(1, 2, 3), "in $0x87, %al; in $0x88, %al; nop"
    xor %eax, %eax
    mov %eax, %cr4
    ring_exit

registers:
    mov $0x12345678, %eax
    mov %eax, %dr0
    mov $0x9abcdef0, %eax
    mov %eax, %dr3
    mov %dr0, %eax
    mov %dr3, %ecx
    say "dr0="
    say_hex %eax
    say " dr3="
    say_hex %ecx
    xor %eax, %eax
    mov %eax, %dr0
    mov %eax, %dr3
    mov $0x00000155, %eax                    // reserved bit 10 reads 1
    mov %eax, %dr7
    mov %dr7, %eax
    say " dr7="
    say_hex %eax
    arm 0
    xor %eax, %eax
    mov %eax, %dr6
    mov %dr4, %eax
    mov %dr6, %ecx
    sub %ecx, %eax
    say " dr4-dr6="
    say_hex %eax, 1
    mov %dr5, %eax
    mov %dr7, %ecx
    sub %ecx, %eax
    say " dr5-dr7="
    say_hex %eax, 1
    say "\n"
    mov $CR4_DE, %eax
    mov %eax, %cr4
    hook 1, $0
    try "dr4 with cr4.de"
    mov %dr4, %eax
    end_try
    try "write dr5 with cr4.de"
    mov %eax, %dr5
    end_try
    xor %eax, %eax
    mov %eax, %cr4
    mov $GENERAL_DETECT | 0x400, %ecx
    mov %ecx, %dr7
    try "read of dr0 with dr7.gd"
    mov %dr0, %eax
    end_try
    mov %dr7, %eax
    mov %dr6, %ecx
    say " then dr7="
    say_hex %eax
    and $0x600f, %ecx
    say " dr6 has "
    say_hex %ecx, 4
    say "\n"
    xor %eax, %eax
    mov %eax, %dr6
    hook 1, $debug
    ring_exit

user:
    movl $1f, base
    say "write, execute:"
1:  movl $1, memory
    nop
user_place:
    nop
    say "\n"
    try "mov from dr0"
    mov %dr0, %eax
    end_try
    try "mov to dr7"
    mov %eax, %dr7
    end_try
    try "mov from dr4"
    mov %dr4, %eax
    end_try
    ring_exit

    .bss
    .balign 16
    .skip 16
memory: .skip 32
base: .skip 4
