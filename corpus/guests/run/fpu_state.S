// SPDX-License-Identifier: Apache-2.0
// Is x87 and SSE state saved, restored and switched as written, and what do CR0.TS, EM and MP stop? fpu_state.md.
#include "runtime.inc"

.macro attempts
    try "fnop"
    fnop
    end_try
    try "fwait"
    fwait
    end_try
    try "emms"
    emms
    end_try
    try "xorps"
    xorps %xmm7, %xmm7
    end_try
    try "fxsave"
    fxsave area
    end_try
    try "ldmxcsr"
    ldmxcsr default_mxcsr
    end_try
    try "prefetch"
    prefetcht0 area
    end_try
    try "sfence"
    sfence
    end_try
.endm

    .globl guest
guest:
    mov $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    mov %eax, %cr4
    fninit
    ldmxcsr default_mxcsr
    in_ring $3, $saved
    xor %edi, %edi
1:  mov $CR0_PE | CR0_NE, %eax
    test $1, %edi
    jz 2f
    or $CR0_MP, %eax
2:  test $2, %edi
    jz 2f
    or $CR0_EM, %eax
2:  test $4, %edi
    jz 2f
    or $CR0_TS, %eax
2:  mov %eax, %cr0
    say "mp="
    mov %edi, %eax
    and $1, %eax
    say_hex %eax, 1
    say " em="
    mov %edi, %eax
    shr $1, %eax
    and $1, %eax
    say_hex %eax, 1
    say " ts="
    mov %edi, %eax
    shr $2, %eax
    say_hex %eax, 1
    say "\n"
    in_ring $3, $stopped
    inc %edi
    cmp $8, %edi
    jb 1b
    mov $CR0_PE | CR0_NE | CR0_MP, %eax
    mov %eax, %cr0
    in_ring $0, $lazy
    pass

stopped:
    attempts
    ring_exit

// What FXSAVE writes, and what FXRSTOR brings back.
saved:
    fninit
    call clear
    fxsave area
    say "after fninit: fcw="
    say_hex area, 4
    say " fsw="
    say_hex area + 2, 4
    say " tags="
    mov area + 4, %eax
    say_hex %eax, 2
    say " mxcsr="
    say_hex area + 24
    fldpi
    fld1
    fldz
    movups pattern, %xmm0
    movups pattern + 16, %xmm7
    fxsave area
    say "\nthree on the stack: fsw="
    say_hex area + 2, 4
    say " tags="
    mov area + 4, %eax
    say_hex %eax, 2
    say " st1="
    say_hex area + 32 + 16 + 8, 4
    say_hex area + 32 + 16 + 4
    say_hex area + 32 + 16
    say " st2="
    say_hex area + 32 + 32 + 8, 4
    say_hex area + 32 + 32 + 4
    say_hex area + 32 + 32
    say "\nxmm0="
    mov $area + 160, %esi
    call four
    say " xmm7="
    mov $area + 160 + 7 * 16, %esi
    call four
    // Everything else, then back.
    fninit
    xorps %xmm0, %xmm0
    xorps %xmm7, %xmm7
    fldl2e
    fxrstor area
    fstps word
    say "\nrestored: top="
    say_hex word
    fstps word
    say " next="
    say_hex word
    fstps word
    say " next="
    say_hex word
    movups %xmm7, pattern_back
    mov pattern_back, %eax
    say " xmm7="
    say_hex %eax
    // Edited images: control word, MXCSR, tags.
    fninit
    fxsave area
    movw $0x0f7f, area
    movl $0x1fa0, area + 24
    fxrstor area
    fnstcw word
    stmxcsr mxcsr
    say "\nedited: fcw="
    say_hex word, 4
    say " mxcsr="
    say_hex mxcsr
    say "\n"
    movl $0xffff0000, area + 24
    try "fxrstor, reserved bits of mxcsr"
    fxrstor area
    end_try
    try "fxsave, off by 8"
    fxsave area + 8
    end_try
    // The old form saves, and resets.
    fninit
    fldpi
    fnsave area
    fnstsw word
    fnstcw word + 2
    say "behind fnsave: fsw="
    say_hex word, 4
    say " fcw="
    say_hex word + 2, 4
    say " saved fsw="
    say_hex area + 4, 4
    say " tags="
    say_hex area + 8, 4
    frstor area
    fstps word
    say " restored="
    say_hex word
    // MMX registers are the x87's: a write makes all tags valid, EMMS empties them.
    fninit
    movq pattern, %mm3
    call clear
    fxsave area
    say "\nmm3 written: tags="
    mov area + 4, %eax
    say_hex %eax, 2
    say " image="
    say_hex area + 32 + 48 + 8, 4
    say_hex area + 32 + 48 + 4
    say_hex area + 32 + 48
    emms
    fxsave area
    mov area + 4, %eax
    say " after emms: tags="
    say_hex %eax, 2
    say "\n"
    fninit
    ldmxcsr default_mxcsr
    ring_exit

clear:
    xor %eax, %eax
    mov $area, %edi
    mov $128, %ecx
    rep stosl
    ret
four:
    say_hex 12(%esi)
    say_hex 8(%esi)
    say_hex 4(%esi)
    say_hex (%esi)
    ret

// Two threads at ring 3 that both add in st(0) and xmm0; the state changes hands at #NM, when it is first used.
lazy:
    hook 7, $not_available
    hook 0x60, $yield
    movb $0xee, idt + 8 * 0x60 + 5
    fninit
    xorps %xmm0, %xmm0
    fldz
    fxsave states
    fxsave states + 512
    movl $0, owner
    movl $0, current
    movl $0, switches
    in_ring $3, $threads
    say "a="
    say_hex sums
    say " b="
    say_hex sums + 4
    say " xmm a="
    say_hex sums + 8
    say " b="
    say_hex sums + 12
    say " #NM="
    say_hex switches
    say "\n"
    hook 7, $0
    ring_exit

// Runs both in turn; INT 0x60 changes the thread and sets TS.
threads:
    mov $100, %ecx
1:  fadds three
    addss three, %xmm0
    int $0x60
    fadds five
    addss five, %xmm0
    int $0x60
    loop 1b
    fistpl sums
    cvttss2si %xmm0, %eax
    mov %eax, sums + 8
    int $0x60
    fistpl sums + 4
    cvttss2si %xmm0, %eax
    mov %eax, sums + 12
    ring_exit

yield:
    xorl $512, current
    mov %cr0, %eax
    or $CR0_TS, %eax
    mov %eax, %cr0
    ret
not_available:
    incl switches
    clts
    mov owner, %eax
    cmp current, %eax
    je 1f
    fxsave states(%eax)
    mov current, %eax
    fxrstor states(%eax)
    mov %eax, owner
1:  ret

    .section .rodata
    .balign 16
pattern:
    .long 0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c
    .long 0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c
three: .float 3
five: .float 5
default_mxcsr: .long 0x1f80

    .bss
    .balign 16
area: .skip 512 + 16
states: .skip 1024
pattern_back: .skip 16
word: .skip 4
mxcsr: .skip 4
owner: .skip 4
current: .skip 4
switches: .skip 4
sums: .skip 16
