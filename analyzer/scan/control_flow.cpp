// SPDX-License-Identifier: Apache-2.0
// The opcode slots that change the instruction pointer; every other one falls through.
#include "scan/control_flow.h"

#include <string_view>

#include "decode/structure.h"

namespace trapline::scan {
namespace {

using decode::Structure;
using isa::OpcodeMap;

/// Adds a displacement to the next instruction's address and wraps it as the CPU wraps its instruction pointer.
VirtAddr wrapped_target(std::uint64_t next, std::int64_t displacement, const Structure& insn) {
    const std::uint64_t sum = next + static_cast<std::uint64_t>(displacement);
    const bool code16 = width_bits(insn.key.mode) == 16;
    if (insn.key.mode == Mode::long64) return {sum};
    // A 16-bit operand size cuts EIP to 16 bits. In 16-bit code the cut is relative to the segment's base, which the
    // bytes do not tell; images place such segments at multiples of 64 KiB, so the upper half is kept.
    if (code16 != insn.key.has_66) return {code16 ? (next & ~std::uint64_t{0xFFFF}) | (sum & 0xFFFF) : sum & 0xFFFF};
    return {sum & 0xFFFFFFFF};
}

ControlFlow plain(Flow kind) {
    ControlFlow flow;
    flow.kind = kind;
    return flow;
}

/// Takes the immediate as the displacement.
ControlFlow relative(Flow kind, const Structure& insn, Bytes bytes, VirtAddr address) {
    ControlFlow flow = plain(kind);
    const ByteView view(bytes);
    const std::uint64_t at = insn.immediate_offset;
    if (insn.immediate_size == 1) {
        if (const auto value = view.get<std::uint8_t>(at)) flow.displacement = static_cast<std::int8_t>(*value);
    } else if (insn.immediate_size == 2) {
        if (const auto value = view.get<std::uint16_t>(at)) flow.displacement = static_cast<std::int16_t>(*value);
    } else if (insn.immediate_size == 4) {
        if (const auto value = view.get<std::uint32_t>(at)) flow.displacement = static_cast<std::int32_t>(*value);
    } else {
        return flow;
    }
    flow.displacement_bytes = insn.immediate_size;
    flow.target = wrapped_target(address.value + insn.length, flow.displacement, insn);
    return flow;
}

/// FF: /2 and /3 call, /4 and /5 jump; the odd ones are far.
ControlFlow group5(const Structure& insn) {
    switch (insn.key.reg & 7) {
        case 2: case 3: return plain(Flow::indirect_call);
        case 4: case 5: return plain(Flow::indirect_jump);
        default: return {};
    }
}

/// 0F 01 with a register operand: the returns that share the slot with CLAC and the serialising instructions.
ControlFlow group7(const Structure& insn) {
    if (insn.key.mod != 3) return {};
    const int slot = (insn.key.reg & 7) << 3 | (insn.key.rm & 7);
    if (slot == 0x0A && insn.rep != 0) return plain(Flow::leave);     // F3 0F 01 CA ERETU, F2 ERETS; none: CLAC
    if (slot == 0x2C && insn.rep == 0xF3) return plain(Flow::leave);  // F3 0F 01 EC UIRET
    if (slot == 0x0D && insn.key.has_66) return plain(Flow::leave);   // 66 0F 01 CD SEAMRET
    return {};
}

ControlFlow two_byte(const Structure& insn, Bytes bytes, VirtAddr address) {
    if (insn.key.opcode >= 0x80 && insn.key.opcode <= 0x8F) return relative(Flow::conditional, insn, bytes, address);
    switch (insn.key.opcode) {
        case 0x01: return group7(insn);
        case 0x07:  // SYSRET
        case 0x34:  // SYSENTER saves no return address
        case 0x35:  // SYSEXIT
        case 0xAA:  // RSM
            return plain(Flow::leave);
        case 0x0B:  // UD2
        case 0xB9:  // UD1
        case 0xFF:  // UD0
            return plain(Flow::stop);
        default: return {};
    }
}

ControlFlow one_byte(const Structure& insn, Bytes bytes, VirtAddr address) {
    const std::uint8_t opcode = insn.key.opcode;
    if (opcode >= 0x70 && opcode <= 0x7F) return relative(Flow::conditional, insn, bytes, address);
    switch (opcode) {
        case 0x9A: return plain(Flow::indirect_call);  // CALL ptr16:16/32
        case 0xC2: case 0xC3:                          // RET
        case 0xCA: case 0xCB:                          // RETF
        case 0xCF:                                     // IRET
            return plain(Flow::leave);
        case 0xC7:  // XBEGIN is C7 F8; the slot's other forms move an immediate
            return insn.key.mod == 3 && (insn.key.reg & 7) == 7 && (insn.key.rm & 7) == 0
                       ? relative(Flow::conditional, insn, bytes, address)
                       : ControlFlow{};
        case 0xCC: return plain(Flow::breakpoint);
        case 0xE0: case 0xE1: case 0xE2: case 0xE3:  // LOOPNE, LOOPE, LOOP, JrCXZ
            return relative(Flow::conditional, insn, bytes, address);
        case 0xE8: return relative(Flow::call, insn, bytes, address);
        case 0xE9: case 0xEB: return relative(Flow::jump, insn, bytes, address);
        case 0xEA: return plain(Flow::indirect_jump);  // JMP ptr16:16/32
        case 0xFF: return group5(insn);
        default: return {};
    }
}

}  // namespace

int emulation_prefix_length(Bytes bytes) {
    if (bytes.size() < 5 || bytes[0] != 0x0F || bytes[1] != 0x0B) return 0;
    const std::string_view letters(reinterpret_cast<const char*>(bytes.data()) + 2, 3);
    return letters == "xen" || letters == "kvm" ? 5 : 0;
}

ControlFlow control_flow(Bytes bytes, Mode mode, VirtAddr address) {
    if (emulation_prefix_length(bytes) != 0) return {};
    const Structure insn = decode::parse_structure(decode::OpcodeMaps::generated(), bytes, mode);
    // Statuses other than ok still come with length and key where a record may overrule them (a legal LOCK).
    if (insn.length == 0) return {};
    if (insn.key.map == OpcodeMap::one) {
        // REX2 moves A1 to JMPABS, which jumps to a 64-bit immediate (Intel APX specification).
        if (insn.space == decode::EncodingSpace::rex2 && insn.key.opcode == 0xA1) return plain(Flow::indirect_jump);
        return one_byte(insn, bytes, address);
    }
    if (insn.key.map == OpcodeMap::m0f) return two_byte(insn, bytes, address);
    return {};
}

}  // namespace trapline::scan
