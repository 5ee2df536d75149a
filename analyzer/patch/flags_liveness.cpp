// SPDX-License-Identifier: Apache-2.0
// What the common integer instructions do with the arithmetic flags: SDM volume 1, appendix A, "EFLAGS Cross-Reference".
// What is not in the table is unknown, which is always right.
#include "patch/flags_liveness.h"

#include <array>

#include "patch/guest_code.h"

namespace trapline::patch {
namespace {

using scan::Flow;

enum class Use : std::uint8_t { unknown, none, kills, reads };
constexpr int kMostSteps = 32;

/// ModRM.reg decides in the groups; 8 entries for /0 to /7.
using Group = std::array<Use, 8>;
constexpr Use U = Use::unknown, N = Use::none, K = Use::kills, R = Use::reads;
constexpr Group kAll_K = {K, K, R, R, K, K, K, K};      // ADD OR ADC SBB AND SUB XOR CMP
constexpr Group kGroup3 = {K, K, N, K, U, U, U, U};     // TEST TEST NOT NEG; MUL and DIV leave some undefined
constexpr Group kGroup5 = {U, U, U, U, U, U, N, U};     // PUSH; INC and DEC keep CF

Use use_of_one_byte(const decode::Structure& s) {
    const std::uint8_t op = s.key.opcode;
    if (op < 0x40 && (op & 7) < 6) {
        const Use by_row[8] = {K, K, R, R, K, K, K, K};
        return by_row[op >> 3];
    }
    if (op >= 0x50 && op <= 0x5F) return N;                      // PUSH, POP
    if (op >= 0x70 && op <= 0x7F) return R;                      // Jcc
    switch (op) {
        case 0x68: case 0x6A: return N;                          // PUSH imm
        case 0x80: case 0x81: case 0x83: return kAll_K[s.key.reg & 7];
        case 0x84: case 0x85: return K;                          // TEST
        case 0x86: case 0x87: case 0x88: case 0x89: case 0x8A: case 0x8B: case 0x8D: return N;  // XCHG, MOV, LEA
        case 0x8C: case 0x8E: return N;                          // MOV of segment registers
        case 0x90: case 0x98: case 0x99: return N;
        case 0x9C: return R;                                     // PUSHF
        case 0x9D: case 0x9E: return op == 0x9D ? K : U;         // POPF; SAHF keeps OF
        case 0xA0: case 0xA1: case 0xA2: case 0xA3: case 0xA4: case 0xA5: case 0xAA: case 0xAB: case 0xAC: case 0xAD: return N;
        case 0xA8: case 0xA9: return K;                          // TEST
        case 0xC6: case 0xC7: return N;                          // MOV imm
        case 0xE4: case 0xE5: case 0xE6: case 0xE7: case 0xEC: case 0xED: case 0xEE: case 0xEF: return N;  // IN, OUT
        case 0xF4: case 0xFA: case 0xFB: return N;               // HLT, CLI, STI
        case 0xF6: case 0xF7: return kGroup3[s.key.reg & 7];
        case 0xFC: case 0xFD: return N;                          // CLD, STD: DF is no arithmetic flag
        case 0xFF: return kGroup5[s.key.reg & 7];
        default: return op >= 0xB0 && op <= 0xBF ? N : U;        // MOV imm
    }
}

Use use_of_0f(const decode::Structure& s) {
    const std::uint8_t op = s.key.opcode;
    if ((op >= 0x40 && op <= 0x4F) || (op >= 0x80 && op <= 0x9F)) return R;  // CMOVcc, Jcc, SETcc
    switch (op) {
        case 0x1F: case 0xB6: case 0xB7: case 0xBE: case 0xBF: return N;     // NOP, MOVZX, MOVSX
        case 0x30: case 0x31: case 0x32: case 0xA2: return N;                // WRMSR, RDTSC, RDMSR, CPUID
        case 0xC0: case 0xC1: case 0xB0: case 0xB1: return K;                // XADD, CMPXCHG
        default: return op >= 0xC8 && op <= 0xCF ? N : U;                    // BSWAP
    }
}

Use use_of(const GuestInstruction& insn) {
    const decode::Structure& s = insn.structure;
    if (s.space != decode::EncodingSpace::legacy) return U;
    if (s.key.map == isa::OpcodeMap::one) return use_of_one_byte(s);
    return s.key.map == isa::OpcodeMap::m0f ? use_of_0f(s) : U;
}

}  // namespace

FlagsLiveness flags_liveness(const scan::CodeFacts& facts, scan::CodePlace place) {
    for (int step = 0; step < kMostSteps; ++step) {
        const auto insn = read_instruction(facts, place);
        if (!insn) return FlagsLiveness::unknown;
        if (insn->flow.kind == Flow::jump && insn->flow.target) {
            // In a relocatable image a branch stays in its section, or its target is not known.
            const auto target = facts.image().relocatable ? facts.find(facts.sections()[place.section].index, *insn->flow.target) : facts.find(*insn->flow.target);
            if (!target) return FlagsLiveness::unknown;
            place = *target;
            continue;
        }
        switch (use_of(*insn)) {
            case Use::unknown: return FlagsLiveness::unknown;
            case Use::reads: return FlagsLiveness::live;
            case Use::kills: return FlagsLiveness::dead;
            case Use::none: break;
        }
        if (insn->flow.kind != Flow::fallthrough) return FlagsLiveness::unknown;
        place.offset = insn->end();
    }
    return FlagsLiveness::unknown;
}

}  // namespace trapline::patch
