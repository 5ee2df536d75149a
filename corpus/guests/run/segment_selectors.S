// SPDX-License-Identifier: Apache-2.0
// What do reads of segment registers show at each ring, and which selectors may be loaded where? segment_selectors.md.
#include "runtime.inc"

    .globl guest
guest:
    set_descriptor FREE(0), $0, $0xfffff, 0x92, 0xc      // 58: data, DPL 0
    set_descriptor FREE(1), $0, $0xfffff, 0xf0, 0xc      // 60: data, read-only, DPL 3
    set_descriptor FREE(2), $0, $0xfffff, 0xf8, 0xc      // 68: code, execute-only, DPL 3
    set_descriptor FREE(3), $0, $0xfffff, 0x9e, 0xc      // 70: code, readable, conforming, DPL 0
    set_descriptor FREE(4), $0, $0xfffff, 0x72, 0xc      // 78: data, DPL 3, not present
    set_descriptor FREE(5), $0, $0xfffff, 0xb2, 0xc      // 80: data, DPL 1
    set_descriptor FREE(6), $0, $7, 0x82, 0              // 88: an LDT
    set_descriptor FREE(7), $0, $0xfffff, 0x9a, 0xc      // 90: code, readable, DPL 0
    set_descriptor FREE(8), $0, $0xfffff, 0x12, 0xc      // 98: data, DPL 0, not present
    set_descriptor FREE(9), $0, $0xfffff, 0x32, 0xc      // a0: data, DPL 1, not present
    set_descriptor FREE(10), $0, $0xfffff, 0x52, 0xc     // a8: data, DPL 2, not present
    set_descriptor FREE(11), $0, $0xfffff, 0x72, 0xc     // b0: data, DPL 3, not present

    xor %edi, %edi
1:  in_ring %edi, $reads
    inc %edi
    cmp $4, %edi
    jb 1b

    say "rpl as loaded:"
    mov $0x40, %ebp
2:  mov %ebp, %fs
    mov %fs, %eax
    say " "
    say_hex %eax, 4
    inc %ebp
    cmp $0x44, %ebp
    jb 2b
    say "\naccess byte of 0058 before: "
    mov gdt + FREE(0) + 5, %al
    say_hex %eax, 2
    mov $FREE(0), %eax
    mov %eax, %fs
    say ", after a load: "
    mov gdt + FREE(0) + 5, %al
    say_hex %eax, 2
    say "\n"

    xor %edi, %edi
1:  say "cpl="
    say_hex %edi, 1
    say "\n"
    in_ring %edi, $load_ds
    in_ring %edi, $load_ss
    inc %edi
    cmp $4, %edi
    jb 1b

    in_ring $3, $other_forms
    in_ring $0, $use_null
    pass

reads:
    say "cpl="
    say_hex %edi, 1
    say " mov cs="
    mov $-1, %eax
    mov %cs, %eax
    say_hex %eax
    pushl %cs
    popl %eax
    say " push cs="
    say_hex %eax, 4
    pushw %cs
    popw %ax
    say " pushw cs="
    say_hex %eax, 4
    mov $-1, %eax
    mov %ss, %eax
    say " mov ss="
    say_hex %eax
    pushl %ss
    popl %eax
    say " push ss="
    say_hex %eax, 4
    mov $-1, %eax
    mov %ds, %ax
    say " mov ds="
    say_hex %eax
    movl $-1, memory
    mov %es, memory
    say " mov es, memory="
    say_hex memory
    say "\n"
    ring_exit

load_ds:
    mov $ds_selectors, %esi
1:  movzwl %cs:(%esi), %eax
    cmp $0xffff, %eax
    je 2f
    say " ds="
    say_hex %eax, 4
    try ""
    mov %eax, %ds
    end_try
    mov %ss, %eax
    mov %eax, %ds
    add $2, %esi
    jmp 1b
2:  ring_exit

load_ss:
    mov $ss_selectors, %esi
1:  movzwl (%esi), %eax
    cmp $0xffff, %eax
    je 2f
    test $3, %al                             // where the table has RPL 3, the CPL stands
    jz 3f
    xor $3, %eax
    or %edi, %eax
3:  say " ss="
    say_hex %eax, 4
    try ""
    mov %eax, %ss
    end_try
    add $2, %esi
    jmp 1b
2:  lea 0x98(, %edi, 8), %eax                // of this DPL, not present
    or %edi, %eax
    say " ss="
    say_hex %eax, 4
    try ""
    mov %eax, %ss
    end_try
    ring_exit

// POP and L?S at CPL 3: the registers stay when the load faults.
other_forms:
    mov $0x43, %eax
    mov %eax, %es
    pushl $0x10
    mov %esp, %ebp
    try "pop es 0010"
    popl %es
    end_try
    sub %esp, %ebp
    mov %es, %eax
    say " es="
    say_hex %eax, 4
    say " esp moved by "
    say_hex %ebp, 1
    say "\n"
    movl $0x12345678, %ecx
    try "les 0010"
    les pointer_inner, %ecx
    end_try
    mov %es, %eax
    say " es="
    say_hex %eax, 4
    say " ecx="
    say_hex %ecx
    say "\n"
    try "lfs 0000"
    lfs pointer_null, %ecx
    end_try
    mov %fs, %eax
    say " fs="
    say_hex %eax, 4
    say " ecx="
    say_hex %ecx
    say "\n"
    try "lgs 0063"
    lgs pointer_read_only, %ecx
    end_try
    mov %gs, %eax
    say " gs="
    say_hex %eax, 4
    say " ecx="
    say_hex %ecx
    say "\n"
    try "lss 0000"
    lss pointer_null, %ecx
    end_try
    mov %ss, %eax
    say " ss="
    say_hex %eax, 4
    say " ecx="
    say_hex %ecx
    say "\n"
    popl %eax
    ring_exit

// A null selector may be loaded; using it may not.
use_null:
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    try "read through null ds"
    movl memory, %ecx
    end_try
    try "write through null es"
    movl %ecx, %es:memory
    end_try
    try "read through null fs"
    movl %fs:memory, %ecx
    end_try
    try "write through null gs"
    movl %ecx, %gs:memory
    end_try
    ring_exit

    .section .rodata
ds_selectors:
    .word 0x0000, 0x0003, 0x0010, 0x0013, 0x0020, 0x0043, 0x0058, 0x0060, 0x0063, 0x0068, 0x0070, 0x0073, 0x0078, 0x0080
    .word 0x0083, 0x0088, 0x0090, 0x0093, 0x0048, 0x004c, 0x01f8, 0xfff8, 0xffff
ss_selectors:
    .word 0x0000, 0x0013, 0x0023, 0x0033, 0x0043, 0x0063, 0x006b, 0x0093, 0x008b, 0x004c, 0x01f8, 0xffff
    .balign 4
pointer_inner: .long 0x11111111
    .word 0x10
pointer_null: .long 0x22222222
    .word 0
pointer_read_only: .long 0x33333333
    .word 0x63

    .bss
    .balign 4
memory: .skip 4
