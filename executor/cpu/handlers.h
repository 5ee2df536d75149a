// SPDX-License-Identifier: Apache-2.0
// The functions that execute instructions, by subject. Each executes what its rows in opcode_table.cpp send it; `reg` and `rm`
// are the ModRM operands, `acc` is AL, AX or EAX.
#pragma once

#include "executor/cpu/execution.h"

namespace trapline::executor::handlers {

// Arithmetic: arithmetic_handlers.cpp.
Step alu_rm_reg(Execution& x);
Step alu_reg_rm(Execution& x);
Step alu_acc_imm(Execution& x);
Step alu_rm_imm(Execution& x);
Step test_rm_reg(Execution& x);
Step test_acc_imm(Execution& x);
Step inc_reg(Execution& x);
Step dec_reg(Execution& x);
Step inc_dec_rm(Execution& x);            ///< FE, and /0 and /1 of FF
Step unary_group(Execution& x);           ///< F6, F7: TEST NOT NEG MUL IMUL DIV IDIV
Step imul_reg_rm(Execution& x);
Step imul_reg_rm_imm(Execution& x);
Step shift_rm_imm(Execution& x);
Step shift_rm_one(Execution& x);
Step shift_rm_cl(Execution& x);
Step daa_das(Execution& x);
Step aaa_aas(Execution& x);
Step aam(Execution& x);
Step aad(Execution& x);
Step widen(Execution& x);                 ///< CBW, CWDE
Step widen_to_dx(Execution& x);           ///< CWD, CDQ

// Bits and locked operations: bit_handlers.cpp.
Step bit_rm_reg(Execution& x);            ///< BT BTS BTR BTC
Step bit_rm_imm(Execution& x);
Step bit_scan(Execution& x);
Step shift_double_imm(Execution& x);
Step shift_double_cl(Execution& x);
Step bswap(Execution& x);
Step xadd(Execution& x);
Step cmpxchg(Execution& x);
Step cmpxchg8b_group(Execution& x);

// Moves and flags: move_handlers.cpp.
Step mov_rm_reg(Execution& x);
Step mov_reg_rm(Execution& x);
Step mov_rm_imm(Execution& x);
Step mov_reg_imm(Execution& x);
Step mov_acc_memory(Execution& x);
Step mov_memory_acc(Execution& x);
Step movzx_byte(Execution& x);
Step movzx_word(Execution& x);
Step movsx_byte(Execution& x);
Step movsx_word(Execution& x);
Step movnti(Execution& x);
Step cmov(Execution& x);
Step setcc(Execution& x);
Step lea(Execution& x);
Step xchg_rm_reg(Execution& x);
Step xchg_acc_reg(Execution& x);
Step xlat(Execution& x);
Step salc(Execution& x);
Step lahf(Execution& x);
Step sahf(Execution& x);
Step flag_operation(Execution& x);        ///< CMC CLC STC CLD STD
Step nop(Execution& x);

// Stack and segment registers: stack_handlers.cpp.
Step push_reg(Execution& x);
Step pop_reg(Execution& x);
Step push_imm(Execution& x);
Step pop_rm(Execution& x);
Step pusha(Execution& x);
Step popa(Execution& x);
Step enter(Execution& x);
Step leave(Execution& x);
Step push_segment(Execution& x);
Step pop_segment(Execution& x);
Step mov_rm_segment(Execution& x);
Step mov_segment_rm(Execution& x);
Step load_far_pointer(Execution& x);      ///< LES LDS LSS LFS LGS

// Control flow: control_handlers.cpp.
Step jcc(Execution& x);
Step jmp(Execution& x);
Step call(Execution& x);
Step ret(Execution& x);
Step loop(Execution& x);                  ///< LOOPNE LOOPE LOOP
Step jcxz(Execution& x);
Step jmp_far(Execution& x);
Step call_far(Execution& x);
Step ret_far(Execution& x);
Step iret(Execution& x);
Step indirect_group(Execution& x);        ///< FF
Step int3(Execution& x);
Step int_imm(Execution& x);
Step into(Execution& x);
Step int1(Execution& x);
Step bound(Execution& x);
Step undefined(Execution& x);

// Strings and ports: string_handlers.cpp.
Step movs(Execution& x);
Step cmps(Execution& x);
Step stos(Execution& x);
Step lods(Execution& x);
Step scas(Execution& x);
Step ins(Execution& x);
Step outs(Execution& x);
Step in_imm(Execution& x);
Step in_dx(Execution& x);
Step out_imm(Execution& x);
Step out_dx(Execution& x);

// The system: system_handlers.cpp, table_handlers.cpp.
Step pushf(Execution& x);
Step popf(Execution& x);
Step cli(Execution& x);
Step sti(Execution& x);
Step hlt(Execution& x);
Step clts(Execution& x);
Step mov_from_control(Execution& x);
Step mov_to_control(Execution& x);
Step mov_from_debug(Execution& x);
Step mov_to_debug(Execution& x);
Step cpuid(Execution& x);
Step rdtsc(Execution& x);
Step rdmsr(Execution& x);
Step wrmsr(Execution& x);
Step rdpmc(Execution& x);
Step flush_caches(Execution& x);          ///< INVD WBINVD
Step system_group6(Execution& x);         ///< 0F 00: SLDT STR LLDT LTR VERR VERW
Step system_group7(Execution& x);         ///< 0F 01: SGDT SIDT LGDT LIDT SMSW LMSW INVLPG
Step lar_lsl(Execution& x);
Step arpl(Execution& x);

// What the caller runs natively, unless the guest's CR0 and CR4 want it to trap: vector_handlers.cpp.
Step x87(Execution& x);
Step fwait(Execution& x);
Step vector(Execution& x);
Step fence_group(Execution& x);           ///< 0F AE: FXSAVE FXRSTOR LDMXCSR STMXCSR, fences

}  // namespace trapline::executor::handlers
