// SPDX-License-Identifier: Apache-2.0
// Code that is two things at once (32-bit): jumps into the middle of an instruction, a jump over a LOCK prefix, a symbol
// that cuts an instruction. Bytes are written out, so that the overlap is the one described.
#include "form.inc"

// The jump lands on the 9D of the MOV's immediate. The MOV itself is never reached.
form into_immediate
    .byte 0xeb, 0x01                    // +0 jmp +3
    .byte 0xb8, 0x9d, 0xc3, 0x90, 0x90  // +2 mov eax, 0x9090c39d;   +3 popfd; +4 ret
    .byte 0xc3                          // +7 ret

// Both decodes are findings: IN with FA as its port, and CLI inside it. Only CLI is ever executed.
form both_flagged
    .byte 0xeb, 0x01                    // +0 jmp +3
    .byte 0xe4, 0xfa                    // +2 in al, 0xfa;           +3 cli
    .byte 0xc3                          // +4 ret

// The same with a conditional jump: both are executed, on different paths.
form both_reached
    .byte 0x74, 0x01                    // +0 jz +3
    .byte 0xe4, 0xfa                    // +2 in al, 0xfa;           +3 cli
    .byte 0xc3                          // +4 ret

// As kernels do for one processor: a branch around LOCK. Both decodes of the CMPXCHG are innocuous.
form lock_skipped
    .byte 0x74, 0x01                    // +0 jz +3
    .byte 0xf0, 0x0f, 0xb1, 0x0a        // +2 lock cmpxchg [edx], ecx;  +3 cmpxchg
    .byte 0xc3                          // +6 ret

// A REP prefix skipped in front of an instruction that is a finding with it and without.
form rep_skipped
    .byte 0x74, 0x01                    // +0 jz +3
    .byte 0xf3, 0x6e                    // +2 rep outsb;             +3 outsb
    .byte 0xc3                          // +4 ret

// Bytes of CLI inside an immediate that nothing leads to: no finding.
form only_inside
    .byte 0xb8, 0xfa, 0xfa, 0xfa, 0xfa  // +0 mov eax, 0xfafafafa
    .byte 0xc3                          // +5 ret

// A function symbol in the middle of an instruction: IN that runs over the symbol, and CLI behind it.
form cut_head
    .byte 0xe4                          // +0 in al, 0xfa
    .globl cut_tail
    .type cut_tail, @function
cut_tail:
    .byte 0xfa                          // cut_tail+0 cli
    .byte 0xc3                          // +1 ret

// A backward branch into the displacement of the branch's own predecessor.
form backward
    .byte 0x66, 0x0f, 0x01, 0xe0        // +0 smsw ax
    .byte 0xe3, 0xfb                    // +4 jecxz +1: smsw with a 32-bit destination inside the other
    .byte 0xc3                          // +6 ret
