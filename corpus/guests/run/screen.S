// SPDX-License-Identifier: Apache-2.0
// The text screen: every character code, corners, a start address other than 0. See screen.md.
#include "runtime.inc"

#define SCREEN 0xb8000
#define COLUMNS 80
#define CELLS 16384
// The screen begins in the memory's third line.
#define START (2 * COLUMNS)
#define CELL(row, column) (SCREEN + 2 * (START + (row) * COLUMNS + (column)))
#define CRTC 0x3d4

    .macro at row:req, column:req, attribute:req, text:vararg
    .pushsection .rodata
770: .asciz \text
    .popsection
    mov $770b, %esi
    mov $CELL(\row, \column), %edi
    mov $\attribute, %ah
    call write
    .endm

    .macro crtc register:req, value:req
    mov $CRTC, %dx
    mov $\register | (\value) << 8, %ax
    outw %ax, %dx
    .endm
    .macro say_crtc register:req, text:vararg
    mov $CRTC, %dx
    mov $\register, %al
    out %al, %dx
    inc %edx
    in %dx, %al
    movzbl %al, %eax
    say \text
    say_hex %eax, 2
    say "\n"
    .endm

    .text
    .globl guest
guest:
    mov $SCREEN, %edi
    mov $CELLS, %ecx
    mov $0x0720, %ax
    rep stosw
    at -2, 0, 0x07, "above the screen"
    at 25, 0, 0x07, "below the screen"
    at 0, 0, 0x1f, "upper left"
    at 0, 69, 0x70, "upper right"
    at 24, 0, 0x07, "lower left"
    at 24, 68, 0x87, "  lower right"           // runs over the corner, and so off the screen
    at 1, 10, 0x00, "black on black"
    at 2, 0, 0x07, "   spaces in front"
    at 3, 79, 0x07, "|next line"

    // Each code, 16 in a line between bars.
    mov $CELL(6, 4), %edi
    xor %ebx, %ebx
1:  movw $0x0700 | '|', (%edi)
    add $2, %edi
    mov $16, %ecx
2:  mov %bl, (%edi)
    movb $0x0e, 1(%edi)
    add $2, %edi
    inc %ebx
    loop 2b
    movw $0x0700 | '|', (%edi)
    add $2 * (COLUMNS - 17), %edi
    cmp $256, %ebx
    jb 1b

    crtc 0x0c, START >> 8
    crtc 0x0d, START & 0xff
    say_crtc 0x0c, "start address, high: "
    say_crtc 0x0d, "start address, low: "
    mov CELL(0, 0), %eax
    say "the first two cells: "
    say_hex %eax
    say "\n"
    ret

// Writes the string at ESI from EDI on, with the attribute in AH.
write:
    lodsb
    test %al, %al
    jz 1f
    stosw
    jmp write
1:  ret
