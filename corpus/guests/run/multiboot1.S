// SPDX-License-Identifier: Apache-2.0
// What Multiboot 1 hands over: memory, command line, modules, memory map, the loader's name. See multiboot1.md.
#include "multiboot.inc"

#define INFORMATION_FLAGS 0
#define INFORMATION_LOWER 4
#define INFORMATION_UPPER 8
#define INFORMATION_LINE 16
#define INFORMATION_MODULES 20
#define INFORMATION_MODULE_LIST 24
#define INFORMATION_MAP_BYTES 44
#define INFORMATION_MAP 48
#define INFORMATION_NAME 64

    .text
    .globl guest
guest:
    say_machine_state
    mov boot_information, %ebp
    .macro given bit:req, text:vararg
    testl $1 << \bit, INFORMATION_FLAGS(%ebp)
    holds nz, \text
    .endm
    given 0, "memory sizes"
    cmpl $640, INFORMATION_LOWER(%ebp)
    holds be, "  low memory ends at 640 KiB or before"
    cmpl $30 * 1024, INFORMATION_UPPER(%ebp)
    holds ae, "  at least 30 MiB above the first"

    given 2, "command line"
    mov INFORMATION_LINE(%ebp), %esi
    call second_word
    say_string %esi, "  behind its first word"

    given 3, "modules"
    say "  number: "
    say_hex INFORMATION_MODULES(%ebp)
    say "\n"
    mov INFORMATION_MODULE_LIST(%ebp), %ebx
    mov INFORMATION_MODULES(%ebp), %edx
1:  mov 8(%ebx), %esi
    call second_word
    say_string %esi, "module with a text, behind its first word"
    check_module (%ebx), 4(%ebx)
    cmpl $0, 12(%ebx)
    holds e, "  the reserved word is 0"
    add $16, %ebx
    dec %edx
    jnz 1b

    given 6, "memory map"
    mov INFORMATION_MAP(%ebp), %ebx
    mov INFORMATION_MAP_BYTES(%ebp), %edx
    add %ebx, %edx
    mov 4(%ebx), %eax
    or 8(%ebx), %eax
    holds z, "  begins at 0"
    xor %edi, %edi                           // 1 when RAM holds the guest
1:  cmpl $1, 20(%ebx)
    jne 2f
    cmpl $0, 8(%ebx)
    jne 2f
    cmpl $0x100000, 4(%ebx)
    ja 2f
    mov 4(%ebx), %eax
    add 12(%ebx), %eax
    cmp $end_of_image, %eax
    jb 2f
    mov $1, %edi
2:  mov (%ebx), %eax                         // the size does not count its own four bytes
    lea 4(%eax, %ebx), %ebx
    cmp %edx, %ebx
    jb 1b
    holds e, "  ends where it says"
    test %edi, %edi
    holds nz, "  holds the guest"

    given 9, "name of the loader"
    mov INFORMATION_NAME(%ebp), %ebx
    cmpb $0, (%ebx)
    holds ne, "  is not empty"
    ret

// Moves ESI from the beginning of a string to what stands behind its first space.
second_word:
    lodsb
    test %al, %al
    jz 1f
    cmp $' ', %al
    jne second_word
    ret
1:  dec %esi
    ret
