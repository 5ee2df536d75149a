// SPDX-License-Identifier: Apache-2.0
// GS and FS with bases as C libraries and kernels use them: negative offsets, switches, the hidden part. tls_segments.md.
#include "runtime.inc"

#define TLS (FREE(6) + 3)                    // 0x8b
#define TLS_2 (FREE(7) + 3)
#define PER_CPU FREE(8)

.macro show text, value
    say " \text="
    say_hex \value
.endm

    .globl guest
guest:
    movb $0xee, idt + 8 * 0x80 + 5
    hook 0x80, $set_base
    mov $block_a, %ecx
    call write_tls
    set_descriptor FREE(7), $block_b, $0xfffff, 0xf3, 0xc
    set_descriptor PER_CPU, $per_cpu_1, $0xfffff, 0x93, 0xc
    say "ring 3\n"
    in_ring $3, $user
    call paging_on
    say "ring 3, paged\n"
    in_ring $3, $user
    say "ring 0\n"
    in_ring $0, $kernel
    pass

// INT 0x80: the TLS descriptor's base becomes %ecx, as set_thread_area does.
set_base:
    mov FRAME_ECX(%ebx), %ecx
write_tls:
    set_descriptor FREE(6), %ecx, $0xfffff, 0xf3, 0xc
    ret

user:
    mov $block_a, %ecx
    int $0x80
    mov $TLS, %eax
    mov %eax, %gs
    mov $TLS_2, %eax
    mov %eax, %fs
    show "gs:0", %gs:0
    show "gs:4", %gs:4
    show "gs:-4", %gs:0xfffffffc
    show "fs:0", %fs:0
    show "fs:-8", %fs:0xfffffff8
    mov $-8, %edx
    show "gs:(edx)", %gs:(%edx)
    show "gs:12(edx)", %gs:12(%edx)
    mov $-2, %edx
    mov %gs:(, %edx, 4), %eax
    show "gs:(,edx,4)", %eax
    // Flat, the same dword.
    mov %gs:8, %eax                          // the block's own address
    show "by its address", -4(%eax)
    say "\n"
    // Writes, read-modify-write, exchange, pushes and pops, strings.
    movl $0x77777777, %gs:16
    incl %gs:16
    mov $2, %eax
    lock xadd %eax, %gs:16
    show "xadd", %eax
    show "sum", %gs:16
    mov $0x7777777a, %eax
    mov $0x12345678, %edx
    lock cmpxchg %edx, %gs:16
    show "cmpxchg", %gs:16
    xchg %edx, %gs:16
    pushl %gs:4
    popl %gs:20
    show "pushed, popped", %gs:20
    xor %esi, %esi
    mov $memory, %edi
    mov $4, %ecx
    .byte 0x65
    rep movsl                                // GS:ESI to ES:EDI
    show "copied", memory
    show "last", memory + 12
    say "\n"
    // A call through the block, as i386 programs make system calls.
    call *%gs:24
    show "called", %eax
    // The descriptor changes; GS does until it is loaded again.
    mov $block_b, %ecx
    int $0x80
    mov %gs, %eax
    mov %eax, %gs
    show "another base", %gs:0
    mov $block_a, %ecx
    int $0x80
    mov $TLS, %eax
    mov %eax, %gs
    show "and back", %gs:0
    mov %gs, %eax
    show "selector", %eax
    xor %eax, %eax
    mov %eax, %fs
    mov %fs, %eax
    show "fs null", %eax
    say "\n"
    // Many switches between two threads' blocks.
    xor %esi, %esi
    mov $500, %edi
1:  mov $block_b, %ecx
    int $0x80
    mov $TLS, %eax
    mov %eax, %gs
    add %gs:12, %esi
    mov $block_a, %ecx
    int $0x80
    mov %eax, %gs
    add %gs:12, %esi
    dec %edi
    jnz 1b
    show "500 switches: sum", %esi
    say "\n"
    ring_exit

function:
    mov %gs:12, %eax
    ret

// Per-CPU data: one symbol, another base for each processor.
kernel:
    mov $PER_CPU, %eax
    mov %eax, %fs
    mov %fs:variable - per_cpu_1, %eax
    show "first", %eax
    set_descriptor PER_CPU, $per_cpu_2, $0xfffff, 0x93, 0xc
    // Not loaded again: FS keeps the base that it was loaded with.
    mov %fs:variable - per_cpu_1, %eax
    show "descriptor changed", %eax
    mov $PER_CPU, %eax
    mov %eax, %fs
    mov %fs:variable - per_cpu_1, %eax
    show "loaded again", %eax
    // A base that makes an absolute address reach the second copy.
    set_descriptor PER_CPU, $(per_cpu_2-per_cpu_1), $0xfffff, 0x93, 0xc
    mov $PER_CPU, %eax
    mov %eax, %fs
    mov %fs:variable, %eax
    show "base as difference", %eax
    set_descriptor PER_CPU, $0xfffffff0, $0xfffff, 0x93, 0xc
    mov $PER_CPU, %eax
    mov %eax, %fs
    mov %fs:variable + 16, %eax
    show "base -16", %eax
    say "\n"
    ring_exit

    .data
    .balign 16
    .long 0xa0a0a0f8, 0xa0a0a0fc
block_a: .long 0xa0a0a000, 0xa0a0a004, block_a, 1, 0, 0, function
    .long 0xb0b0b0f8, 0xb0b0b0fc
block_b: .long 0xb0b0b000, 0xb0b0b004, block_b, 0x10000, 0, 0, function
    .balign 16
per_cpu_1: .long 0, 0
variable: .long 0x11111111
    .balign 16
per_cpu_2: .long 0, 0, 0x22222222
memory: .skip 16
