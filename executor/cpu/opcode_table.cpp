// SPDX-License-Identifier: Apache-2.0
// The opcode maps of 16- and 32-bit code (SDM vol. 2, appendix A) as far as the virtual CPU has them: what is not listed
// raises #UD there.
#include "executor/cpu/opcode_table.h"

#include "executor/cpu/handlers.h"

namespace trapline::executor {
namespace {

using namespace handlers;
namespace s = shape;

/// A run of opcodes with one meaning.
struct Run {
    std::uint16_t first, last;
    Handler handler;
    std::uint16_t shape = 0;
    std::uint8_t lockable = 0;
};

constexpr std::uint8_t kAll = 0xFF, kButCmp = 0x7F, kNotNeg = 0x0C, kIncDec = 0x03, kBitChange = 0xE0, kCmpxchg8b = 0x02;
constexpr std::uint16_t kByteModrm = s::byte | s::modrm;

constexpr Run kRuns[] = {
    {0x26, 0x26, nullptr, s::prefix}, {0x2E, 0x2E, nullptr, s::prefix}, {0x36, 0x36, nullptr, s::prefix}, {0x3E, 0x3E, nullptr, s::prefix},
    {0x64, 0x67, nullptr, s::prefix}, {0xF0, 0xF0, nullptr, s::prefix}, {0xF2, 0xF3, nullptr, s::prefix},
    {0x06, 0x06, push_segment},       {0x07, 0x07, pop_segment},        {0x0E, 0x0E, push_segment},       {0x16, 0x16, push_segment},
    {0x17, 0x17, pop_segment},        {0x1E, 0x1E, push_segment},       {0x1F, 0x1F, pop_segment},
    {0x27, 0x27, daa_das},            {0x2F, 0x2F, daa_das},            {0x37, 0x37, aaa_aas},            {0x3F, 0x3F, aaa_aas},
    {0x40, 0x47, inc_reg},            {0x48, 0x4F, dec_reg},            {0x50, 0x57, push_reg},           {0x58, 0x5F, pop_reg},
    {0x60, 0x60, pusha},              {0x61, 0x61, popa},
    {0x62, 0x62, bound, s::modrm},
    {0x63, 0x63, arpl, s::modrm},
    {0x68, 0x68, push_imm, s::imm_word},
    {0x69, 0x69, imul_reg_rm_imm, s::modrm | s::imm_word},
    {0x6A, 0x6A, push_imm, s::imm8},
    {0x6B, 0x6B, imul_reg_rm_imm, s::modrm | s::imm8},
    {0x6C, 0x6C, ins, s::byte},       {0x6D, 0x6D, ins},                {0x6E, 0x6E, outs, s::byte},      {0x6F, 0x6F, outs},
    {0x70, 0x7F, jcc, s::imm8},
    {0x80, 0x80, alu_rm_imm, kByteModrm | s::imm8, kButCmp},
    {0x81, 0x81, alu_rm_imm, s::modrm | s::imm_word, kButCmp},
    {0x82, 0x82, alu_rm_imm, kByteModrm | s::imm8, kButCmp},
    {0x83, 0x83, alu_rm_imm, s::modrm | s::imm8, kButCmp},
    {0x84, 0x84, test_rm_reg, kByteModrm},
    {0x85, 0x85, test_rm_reg, s::modrm},
    {0x86, 0x86, xchg_rm_reg, kByteModrm, kAll},
    {0x87, 0x87, xchg_rm_reg, s::modrm, kAll},
    {0x88, 0x88, mov_rm_reg, kByteModrm},
    {0x89, 0x89, mov_rm_reg, s::modrm},
    {0x8A, 0x8A, mov_reg_rm, kByteModrm},
    {0x8B, 0x8B, mov_reg_rm, s::modrm},
    {0x8C, 0x8C, mov_rm_segment, s::modrm},
    {0x8D, 0x8D, lea, s::modrm},
    {0x8E, 0x8E, mov_segment_rm, s::modrm},
    {0x8F, 0x8F, pop_rm, s::modrm},
    {0x90, 0x90, nop},
    {0x91, 0x97, xchg_acc_reg},
    {0x98, 0x98, widen},              {0x99, 0x99, widen_to_dx},
    {0x9A, 0x9A, call_far, s::imm_word | s::selector},
    {0x9B, 0x9B, fwait},              {0x9C, 0x9C, pushf},              {0x9D, 0x9D, popf},
    {0x9E, 0x9E, sahf},               {0x9F, 0x9F, lahf},
    {0xA0, 0xA0, mov_acc_memory, s::byte | s::memory_offset},
    {0xA1, 0xA1, mov_acc_memory, s::memory_offset},
    {0xA2, 0xA2, mov_memory_acc, s::byte | s::memory_offset},
    {0xA3, 0xA3, mov_memory_acc, s::memory_offset},
    {0xA4, 0xA4, movs, s::byte},      {0xA5, 0xA5, movs},               {0xA6, 0xA6, cmps, s::byte},      {0xA7, 0xA7, cmps},
    {0xA8, 0xA8, test_acc_imm, s::byte | s::imm8},
    {0xA9, 0xA9, test_acc_imm, s::imm_word},
    {0xAA, 0xAA, stos, s::byte},      {0xAB, 0xAB, stos},               {0xAC, 0xAC, lods, s::byte},      {0xAD, 0xAD, lods},
    {0xAE, 0xAE, scas, s::byte},      {0xAF, 0xAF, scas},
    {0xB0, 0xB7, mov_reg_imm, s::byte | s::imm8},
    {0xB8, 0xBF, mov_reg_imm, s::imm_word},
    {0xC0, 0xC0, shift_rm_imm, kByteModrm | s::imm8},
    {0xC1, 0xC1, shift_rm_imm, s::modrm | s::imm8},
    {0xC2, 0xC2, ret, s::imm16},
    {0xC3, 0xC3, ret},
    {0xC4, 0xC5, load_far_pointer, s::modrm},
    {0xC6, 0xC6, mov_rm_imm, kByteModrm | s::imm8},
    {0xC7, 0xC7, mov_rm_imm, s::modrm | s::imm_word},
    {0xC8, 0xC8, enter, s::imm16 | s::imm8_behind},
    {0xC9, 0xC9, leave},
    {0xCA, 0xCA, ret_far, s::imm16},
    {0xCB, 0xCB, ret_far},
    {0xCC, 0xCC, int3},
    {0xCD, 0xCD, int_imm, s::imm8},
    {0xCE, 0xCE, into},
    {0xCF, 0xCF, iret},
    {0xD0, 0xD0, shift_rm_one, kByteModrm},
    {0xD1, 0xD1, shift_rm_one, s::modrm},
    {0xD2, 0xD2, shift_rm_cl, kByteModrm},
    {0xD3, 0xD3, shift_rm_cl, s::modrm},
    {0xD4, 0xD4, aam, s::imm8},
    {0xD5, 0xD5, aad, s::imm8},
    {0xD6, 0xD6, salc},
    {0xD7, 0xD7, xlat},
    {0xD8, 0xDF, x87, s::modrm},
    {0xE0, 0xE2, loop, s::imm8},
    {0xE3, 0xE3, jcxz, s::imm8},
    {0xE4, 0xE4, in_imm, s::byte | s::imm8},
    {0xE5, 0xE5, in_imm, s::imm8},
    {0xE6, 0xE6, out_imm, s::byte | s::imm8},
    {0xE7, 0xE7, out_imm, s::imm8},
    {0xE8, 0xE8, call, s::imm_word},
    {0xE9, 0xE9, jmp, s::imm_word},
    {0xEA, 0xEA, jmp_far, s::imm_word | s::selector},
    {0xEB, 0xEB, jmp, s::imm8},
    {0xEC, 0xEC, in_dx, s::byte},     {0xED, 0xED, in_dx},              {0xEE, 0xEE, out_dx, s::byte},    {0xEF, 0xEF, out_dx},
    {0xF1, 0xF1, int1},
    {0xF4, 0xF4, hlt},
    {0xF5, 0xF5, flag_operation},
    {0xF6, 0xF6, unary_group, kByteModrm | s::imm_of_test, kNotNeg},
    {0xF7, 0xF7, unary_group, s::modrm | s::imm_of_test, kNotNeg},
    {0xF8, 0xF9, flag_operation},
    {0xFA, 0xFA, cli},                {0xFB, 0xFB, sti},
    {0xFC, 0xFD, flag_operation},
    {0xFE, 0xFE, inc_dec_rm, kByteModrm, kIncDec},
    {0xFF, 0xFF, indirect_group, s::modrm, kIncDec},

    {0x100, 0x100, system_group6, s::modrm},
    {0x101, 0x101, system_group7, s::modrm},
    {0x102, 0x103, lar_lsl, s::modrm},
    {0x106, 0x106, clts},
    {0x108, 0x109, flush_caches},
    {0x10D, 0x10D, nop, s::modrm},    // hint NOPs of the P6, PREFETCHW there now
    {0x110, 0x117, vector, s::modrm},
    {0x118, 0x11F, nop, s::modrm},    // PREFETCHh, ENDBR32 and further hint NOPs
    {0x120, 0x120, mov_from_control, s::modrm | s::registers},
    {0x121, 0x121, mov_from_debug, s::modrm | s::registers},
    {0x122, 0x122, mov_to_control, s::modrm | s::registers},
    {0x123, 0x123, mov_to_debug, s::modrm | s::registers},
    {0x128, 0x12F, vector, s::modrm},
    {0x130, 0x130, wrmsr},            {0x131, 0x131, rdtsc},            {0x132, 0x132, rdmsr},            {0x133, 0x133, rdpmc},
    {0x140, 0x14F, cmov, s::modrm},
    {0x150, 0x16F, vector, s::modrm},
    {0x170, 0x173, vector, s::modrm | s::imm8},
    {0x174, 0x176, vector, s::modrm},
    {0x177, 0x177, vector},
    {0x17E, 0x17F, vector, s::modrm},
    {0x180, 0x18F, jcc, s::imm_word},
    {0x190, 0x19F, setcc, kByteModrm},
    {0x1A0, 0x1A0, push_segment},     {0x1A1, 0x1A1, pop_segment},      {0x1A8, 0x1A8, push_segment},     {0x1A9, 0x1A9, pop_segment},
    {0x1A2, 0x1A2, cpuid},
    {0x1A3, 0x1A3, bit_rm_reg, s::modrm},
    {0x1A4, 0x1A4, shift_double_imm, s::modrm | s::imm8},
    {0x1A5, 0x1A5, shift_double_cl, s::modrm},
    {0x1AB, 0x1AB, bit_rm_reg, s::modrm, kAll},
    {0x1AC, 0x1AC, shift_double_imm, s::modrm | s::imm8},
    {0x1AD, 0x1AD, shift_double_cl, s::modrm},
    {0x1AE, 0x1AE, fence_group, s::modrm},
    {0x1AF, 0x1AF, imul_reg_rm, s::modrm},
    {0x1B0, 0x1B0, cmpxchg, kByteModrm, kAll},
    {0x1B1, 0x1B1, cmpxchg, s::modrm, kAll},
    {0x1B2, 0x1B2, load_far_pointer, s::modrm},
    {0x1B3, 0x1B3, bit_rm_reg, s::modrm, kAll},
    {0x1B4, 0x1B5, load_far_pointer, s::modrm},
    {0x1B6, 0x1B6, movzx_byte, s::modrm},
    {0x1B7, 0x1B7, movzx_word, s::modrm},
    {0x1B9, 0x1B9, undefined, s::modrm},  // UD1
    {0x1BA, 0x1BA, bit_rm_imm, s::modrm | s::imm8, kBitChange},
    {0x1BB, 0x1BB, bit_rm_reg, s::modrm, kAll},
    {0x1BC, 0x1BD, bit_scan, s::modrm},
    {0x1BE, 0x1BE, movsx_byte, s::modrm},
    {0x1BF, 0x1BF, movsx_word, s::modrm},
    {0x1C0, 0x1C0, xadd, kByteModrm, kAll},
    {0x1C1, 0x1C1, xadd, s::modrm, kAll},
    {0x1C2, 0x1C2, vector, s::modrm | s::imm8},
    {0x1C3, 0x1C3, movnti, s::modrm},
    {0x1C4, 0x1C6, vector, s::modrm | s::imm8},
    {0x1C7, 0x1C7, cmpxchg8b_group, s::modrm, kCmpxchg8b},
    {0x1C8, 0x1CF, bswap},
    {0x1D0, 0x1FE, vector, s::modrm},
    {0x1FF, 0x1FF, undefined, s::modrm},  // UD0
};

constexpr std::array<OpcodeRow, 512> make_opcodes() {
    std::array<OpcodeRow, 512> rows{};
    for (OpcodeRow& row : rows) row.handler = undefined;
    // 00-3F: eight operations, six forms each.
    for (std::size_t operation = 0; operation < 8; ++operation) {
        const std::uint8_t lockable = operation == 7 ? 0 : kAll;
        OpcodeRow* const row = &rows[8 * operation];
        row[0] = {alu_rm_reg, kByteModrm, lockable};
        row[1] = {alu_rm_reg, s::modrm, lockable};
        row[2] = {alu_reg_rm, kByteModrm, 0};
        row[3] = {alu_reg_rm, s::modrm, 0};
        row[4] = {alu_acc_imm, s::byte | s::imm8, 0};
        row[5] = {alu_acc_imm, s::imm_word, 0};
    }
    for (const Run& run : kRuns)
        for (std::size_t i = run.first; i <= run.last; ++i) rows[i] = {run.handler, run.shape, run.lockable};
    return rows;
}

/// The vector instructions of MMX, SSE and SSE2 by opcode and prefixes.
constexpr std::uint8_t kPlain = 1, k66 = 2, kF3 = 4, kF2 = 8;
struct VectorRun {
    std::uint8_t first, last, prefixes, how = 0;
};
namespace v = vector_form;
constexpr VectorRun kVectorRuns[] = {
    {0x10, 0x11, kPlain | k66 | kF3 | kF2},
    {0x12, 0x12, kPlain}, {0x12, 0x12, k66, v::memory_only}, {0x13, 0x13, kPlain | k66, v::memory_only}, {0x14, 0x15, kPlain | k66},
    {0x16, 0x16, kPlain}, {0x16, 0x16, k66, v::memory_only}, {0x17, 0x17, kPlain | k66, v::memory_only},
    {0x28, 0x29, kPlain | k66}, {0x2A, 0x2A, kPlain | k66 | kF3 | kF2}, {0x2B, 0x2B, kPlain | k66, v::memory_only},
    {0x2C, 0x2D, kPlain | k66 | kF3 | kF2}, {0x2E, 0x2F, kPlain | k66},
    {0x50, 0x50, kPlain | k66, v::register_only}, {0x51, 0x51, kPlain | k66 | kF3 | kF2}, {0x52, 0x53, kPlain | kF3}, {0x54, 0x57, kPlain | k66},
    {0x58, 0x5A, kPlain | k66 | kF3 | kF2}, {0x5B, 0x5B, kPlain | k66 | kF3}, {0x5C, 0x5F, kPlain | k66 | kF3 | kF2},
    {0x60, 0x6B, kPlain, v::mmx}, {0x60, 0x6F, k66}, {0x6E, 0x6F, kPlain, v::mmx}, {0x6F, 0x6F, kF3},
    {0x70, 0x70, kPlain, v::mmx}, {0x70, 0x70, k66 | kF3 | kF2},
    {0x71, 0x73, kPlain, v::mmx | v::register_only}, {0x71, 0x73, k66, v::register_only},
    {0x74, 0x77, kPlain, v::mmx}, {0x74, 0x76, k66},
    {0x7E, 0x7F, kPlain, v::mmx}, {0x7E, 0x7F, k66 | kF3},
    {0xC2, 0xC2, kPlain | k66 | kF3 | kF2}, {0xC4, 0xC4, kPlain, v::mmx}, {0xC4, 0xC4, k66},
    {0xC5, 0xC5, kPlain, v::mmx | v::register_only}, {0xC5, 0xC5, k66, v::register_only}, {0xC6, 0xC6, kPlain | k66},
    {0xD1, 0xD5, kPlain, v::mmx}, {0xD1, 0xD6, k66}, {0xD6, 0xD6, kF3 | kF2, v::register_only},
    {0xD7, 0xD7, kPlain, v::mmx | v::register_only}, {0xD7, 0xD7, k66, v::register_only},
    {0xD8, 0xE5, kPlain, v::mmx}, {0xD8, 0xE6, k66}, {0xE6, 0xE6, kF3 | kF2},
    {0xE7, 0xE7, kPlain, v::mmx | v::memory_only}, {0xE7, 0xE7, k66, v::memory_only},
    {0xE8, 0xEF, kPlain, v::mmx}, {0xE8, 0xEF, k66}, {0xF1, 0xF6, kPlain, v::mmx}, {0xF1, 0xF6, k66},
    {0xF7, 0xF7, kPlain, v::mmx | v::register_only}, {0xF7, 0xF7, k66, v::register_only}, {0xF8, 0xFE, kPlain, v::mmx}, {0xF8, 0xFE, k66},
};

constexpr std::array<std::array<std::uint8_t, 4>, 256> make_vector_forms() {
    std::array<std::array<std::uint8_t, 4>, 256> forms{};
    for (const VectorRun& run : kVectorRuns)
        for (std::size_t opcode = run.first; opcode <= run.last; ++opcode)
            for (std::size_t prefix = 0; prefix < 4; ++prefix)
                if (((run.prefixes >> prefix) & 1) != 0) forms[opcode][prefix] = static_cast<std::uint8_t>(v::exists | run.how);
    return forms;
}

}  // namespace

constinit const std::array<OpcodeRow, 512> kOpcodes = make_opcodes();
constinit const std::array<std::array<std::uint8_t, 4>, 256> kVectorForms = make_vector_forms();

}  // namespace trapline::executor
