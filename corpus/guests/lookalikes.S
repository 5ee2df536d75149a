// SPDX-License-Identifier: Apache-2.0
// Innocuous instructions that carry the bytes of sensitive ones, and encodings that share an opcode with them. No finding
// may come of any of them.
#include "form.inc"

// --- sensitive bytes in immediates and displacements
form imm_popf_pushf;  mov $0x9c9d9d9c, %eax;             end_form
form imm_cli_sti;     cmp $0xfafbfbfa, %eax;             end_form
form imm_mov_cr;      add $0x00c0200f, %eax;             end_form
form imm_sgdt;        test $0x00000f01, %ecx;            end_form
form imm_hlt;         cmp $0xf4, %al;                    end_form
form imm_int80;       mov $0x80cd, %cx;                  end_form
form imm_rdmsr_wrmsr; mov $0x320f300f, %edx;             end_form
form imm_cpuid_rdtsc; movl $0x310fa20f, 0x8(%esp);       end_form
#if BITS == 32
form disp_popf;       mov 0x9d9d9d9d(%eax), %ecx;        end_form
form disp_lgdt;       lea 0x10010f00(%eax), %ecx;        end_form
#else
form disp_popf;       mov 0x1d9d9d9d(%rax), %ecx;        end_form
form disp_lgdt;       lea 0x10010f00(%rip), %rcx;        end_form
form imm64_all;       movabs $0x9dfafbf40f30310f, %rax;  end_form
#endif

// --- no-operations of every kind
form nop_1;           nop;                               end_form
form nop_66;          .byte 0x66, 0x90;                  end_form  // xchg ax, ax
form nop_pause;       pause;                             end_form
form nop_0f1f;        nopl 0x0(%eax, %eax, 1);           end_form
form nop_endbr64;     .byte 0xf3, 0x0f, 0x1e, 0xfa;      end_form
form nop_endbr32;     .byte 0xf3, 0x0f, 0x1e, 0xfb;      end_form
form nop_0f0d;        prefetchw (%eax);                  end_form

// --- neighbours: one bit, one prefix or one ModRM field away
form flags_user;      cld; std; clc; stc; cmc;           end_form
form flags_ah;        lahf; sahf;                        end_form
form fences;          lfence; mfence; sfence;            end_form
form nop_0f1f_reg;    .byte 0x0f, 0x1f, 0xc0;            end_form  // nop eax; 0F 00 C0 is sldt
form bswap_c8;        bswap %eax;                        end_form  // 0F C8; 0F 08 is invd
form cmov;            cmovo %eax, %eax;                  end_form  // 0F 40; 0F 20 is mov from cr
form setcc;           sets %al;                          end_form  // 0F 98; opcode 98 to 9F in map 0F
form movnti;          movnti %ecx, (%eax);               end_form  // 0F C3
form jcc_near;        .byte 0x0f, 0x80, 0, 0, 0, 0;      end_form  // jo; 0F 00 is sldt's group
form loops;           1: loop 1b;                        end_form  // E2; E4 to E7 are in and out
form string;          movsb; stosl; lodsb;               end_form  // A4 AB AC; 6C to 6F are ins and outs
form x87;             fninit; fnstcw (%eax);             end_form
form vex_c5;          vzeroupper;                        end_form  // C5 F8 77; lds with a register operand
form vex_c4;          .byte 0xc4, 0xe2, 0x79, 0x18, 0xc0; end_form // vbroadcastss xmm0, xmm0; les with a register operand
form evex_62;         .byte 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0; end_form // vaddps zmm0, zmm0, zmm0; bound with a register
form vmmcall_;        vmmcall;                           end_form  // 0F 01 D9: #UD outside a guest at every level
form lock_rmw;        lock cmpxchg %ecx, (%eax);         end_form
#if BITS == 32
form inc_dec;         inc %eax; dec %edi;                end_form  // 40, 4F: REX in 64-bit code
form arpl_;           arpl %ax, %cx;                     end_form  // compares two operands, asks nothing of the machine
form pusha_popa;      pusha; popa;                       end_form
#else
form movsxd;          movslq %eax, %rcx;                 end_form  // 63: arpl in 32-bit code
form rex_nop;         .byte 0x48, 0x90;                  end_form
form push_imm;        push $0x0ffa9d9c;                  end_form
#endif

// --- not code at all
    .section .rodata
    .globl tables
tables:
    .byte 0x9d, 0xfa, 0xfb, 0xf4, 0x0f, 0x01, 0x10, 0x0f, 0x22, 0xc0
