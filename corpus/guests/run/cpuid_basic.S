// SPDX-License-Identifier: Apache-2.0
// Does CPUID offer what the guests may use and hide the rest, at every ring, and leave flags alone? cpuid_basic.md.
#include "runtime.inc"

// EDX of leaf 1: FPU DE PSE TSC MSR PAE CX8 PGE CMOV MMX FXSR SSE SSE2 must be there; VME, APIC and SEP must not.
#define OFFERED 0x0780a17d
#define HIDDEN 0x00000a02
// ECX: SSE3 PCLMULQDQ MONITOR VMX SSSE3 FMA X2APIC AES XSAVE OSXSAVE AVX F16C must not.
#define HIDDEN_ECX 0x3e20122b

    .globl guest
guest:
    pushfl
    popl %eax
    xor $FLAG_ID, %eax
    pushl %eax
    popfl
    pushfl
    popl %ecx
    xor %eax, %ecx
    shr $21, %ecx
    and $1, %ecx
    say "eflags.id keeps what is written, differs by "
    say_hex %ecx, 1
    say "\n"
    xor %edi, %edi
1:  in_ring %edi, $leaves
    inc %edi
    cmp $4, %edi
    jb 1b
    pass

leaves:
    say "cpl="
    say_hex %edi, 1
    xor %eax, %eax
    cpuid
    test %eax, %eax
    setnz %al
    say " leaf 1 exists="
    say_hex %eax, 1
    mov $1, %eax
    mov $0xffffffff, %ecx
    pushl $0x8d7
    popfl
    cpuid
    pushfl
    popl %esi
    mov %edx, %eax
    and $OFFERED, %eax
    say " offered="
    say_hex %eax
    mov %edx, %eax
    and $HIDDEN, %eax
    say " hidden="
    say_hex %eax
    mov %ecx, %eax
    and $HIDDEN_ECX, %eax
    say " ecx="
    say_hex %eax
    mov %esi, %eax
    and $0x8d5, %eax
    say " flags="
    say_hex %eax, 3
    // The same every time.
    mov %edx, %esi
    mov $1, %eax
    cpuid
    xor %esi, %edx
    say " again="
    say_hex %edx
    say "\n"
    ring_exit
