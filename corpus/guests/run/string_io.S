// SPDX-License-Identifier: Apache-2.0
// INS and OUTS: counts, directions, segments, address sizes, and where a fault leaves them. string_io.md.
// The port is the 8259's mask register, which reads what was written last; port 0xff70 has no device and reads ones.
#include "runtime.inc"

#define PORT 0x21
#define NOBODY 0xff70

.macro where text
    say "\text: ecx="
    say_hex %ecx, 2
    say " esi+"
    sub $source, %esi
    say_hex %esi, 2
    say " edi+"
    sub $target, %edi
    say_hex %edi, 2
.endm
.macro aim count
    mov $source, %esi
    mov $target, %edi
    mov $\count, %ecx
    mov $PORT, %edx
.endm
.macro mask
    in $PORT, %al
    say " port="
    say_hex %eax, 2
    say "\n"
.endm
.macro memory_there
    say " memory="
    say_hex target
    say "\n"
.endm

    .globl guest
guest:
    mov $0xff, %al
    out %al, $PORT
    in_ring $0, $forms
    say "ring 3, iopl 3\n"
    in_ring $3, $forms, $2 | IOPL(3)
    in_ring $0, $address_size
    call paging_on
    movl $0, page_table + 4 * 0x701
    in_ring $0, $faults
    in_ring $3, $faults, $2 | IOPL(3)
    say "iopl 0\n"
    in_ring $3, $closed
    mov $0xff, %al
    out %al, $PORT
    pass

forms:
    cld
    aim 1
    outsb
    where "outsb"
    mask
    aim 3
    rep outsb
    where "rep outsb, 3"
    mask
    aim 0
    rep outsb
    where "rep outsb, 0"
    mask
    aim 1
    insb
    where "insb"
    memory_there
    aim 4
    rep insb
    where "rep insb, 4"
    memory_there
    aim 2
    mov $NOBODY, %edx
    rep insw
    where "rep insw, 2"
    memory_there
    movl $0, target
    aim 1
    mov $NOBODY, %edx
    insl
    where "insl"
    memory_there
    aim 2
    mov $NOBODY, %edx
    rep outsl
    where "rep outsl, 2"
    say "\n"
    aim 2
    mov $NOBODY, %edx
    rep outsw
    where "rep outsw, 2"
    say "\n"
    // Backwards, from the fourth byte.
    aim 3
    add $3, %esi
    std
    rep outsb
    cld
    where "rep outsb, 3 down"
    mask
    movl $0, target
    aim 2
    add $3, %edi
    std
    rep insb
    cld
    where "rep insb, 2 down"
    memory_there
    // REPNE is no different, and flags stay.
    aim 2
    pushl $0x8d7
    popfl
    .byte 0xf2
    outsb
    pushfl
    popl %eax
    and $0x8d5, %eax
    say "repne outsb, 2: flags="
    say_hex %eax, 3
    say " "
    where "now"
    mask
    // OUTS takes a segment override, INS has none.
    mov %ss, %eax
    aim 1
    mov %eax, %fs
    xor %eax, %eax
    mov %eax, %ds
    outsb %fs:(%esi), %dx
    mov %ss, %eax
    mov %eax, %ds
    where "outsb from fs, ds null"
    mask
    movl $0, target
    aim 1
    xor %eax, %eax
    mov %eax, %ds
    insb
    mov %ss, %eax
    mov %eax, %ds
    where "insb, ds null"
    memory_there
    // Upper half of EDX: the port is DX.
    aim 1
    or $0x12340000, %edx
    outsb
    where "outsb, edx with an upper half"
    mask
    ring_exit

// With 16-bit addresses SI, DI and CX count; the buffers are below 64 KiB.
address_size:
    movl $0x44332211, 0x8000
    mov $0xabcd8000, %esi
    mov $0x12340002, %ecx
    mov $PORT, %edx
    addr16 rep outsb
    say "16-bit addresses: esi="
    say_hex %esi
    say " ecx="
    say_hex %ecx
    mov $0xabcdffff, %edi
    mov $0x12340002, %ecx
    movb $0, 0xffff
    movb $0, 0x0
    addr16 rep insb
    say " edi="
    say_hex %edi
    say " ecx="
    say_hex %ecx
    say " ffff="
    mov 0xffff, %al
    say_hex %eax, 2
    say " 0000="
    mov 0x0, %al
    say_hex %eax, 2
    say "\n"
    ring_exit

faults:
    mov $0x700ffe, %esi
    movw $0x2211, (%esi)
    mov $target, %edi
    mov $5, %ecx
    mov $PORT, %edx
    try "rep outsb into an absent page"
    rep outsb
    end_try
    say " ecx="
    say_hex %ecx, 2
    say " esi="
    say_hex %esi
    mask
    mov $0x700ffd, %edi
    mov $5, %ecx
    try "rep insb into an absent page"
    rep insb
    end_try
    say " ecx="
    say_hex %ecx, 2
    say " edi="
    say_hex %edi
    say " last="
    mov 0x700fff, %al
    say_hex %eax, 2
    say "\n"
    mov $NOBODY, %edx
    mov $0x700ffe, %esi
    try "outsl across"
    outsl
    end_try
    mov $0x700ffe, %edi
    try "insl across"
    insl
    end_try
    say " edi="
    say_hex %edi
    say " last two="
    mov 0x700ffe, %ax
    say_hex %eax, 4
    say "\n"
    ring_exit

closed:
    mov $0x701000, %esi
    mov $0x701000, %edi
    mov $PORT, %edx
    mov $2, %ecx
    try "rep outsb, page absent too"
    rep outsb
    end_try
    try "rep insb, page absent too"
    rep insb
    end_try
    ring_exit

    .data
    .balign 4
source: .byte 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8
target: .skip 16
