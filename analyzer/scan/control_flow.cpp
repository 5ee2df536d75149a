// SPDX-License-Identifier: Apache-2.0
// The opcode slots that change the instruction pointer; every other one falls through.
#include "scan/control_flow.h"

#include <array>
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

/// Opcodes that may change the instruction pointer or end a path: what one_byte and two_byte below have cases for.
constexpr std::array<bool, 256> kOneByteTransfers = [] {
    std::array<bool, 256> table{};
    for (int opcode = 0x70; opcode <= 0x7F; ++opcode) table[static_cast<std::size_t>(opcode)] = true;
    for (int opcode : {0x9A, 0xA1, 0xC2, 0xC3, 0xC7, 0xCA, 0xCB, 0xCC, 0xCF, 0xE0, 0xE1, 0xE2, 0xE3, 0xE8, 0xE9, 0xEA, 0xEB, 0xFF})
        table[static_cast<std::size_t>(opcode)] = true;
    return table;
}();
constexpr std::array<bool, 256> kTwoByteTransfers = [] {
    std::array<bool, 256> table{};
    for (int opcode = 0x80; opcode <= 0x8F; ++opcode) table[static_cast<std::size_t>(opcode)] = true;
    for (int opcode : {0x01, 0x07, 0x0B, 0x34, 0x35, 0xAA, 0xB9, 0xFF}) table[static_cast<std::size_t>(opcode)] = true;
    return table;
}();

/// Says of most instructions that fall through that they do, by the opcode byte alone; false means: look closer.
bool surely_falls_through(Bytes bytes, Mode mode) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        const std::uint8_t byte = bytes[at];
        switch (byte) {
            case 0x26: case 0x2E: case 0x36: case 0x3E: case 0x64: case 0x65: case 0x66: case 0x67: case 0xF0: case 0xF2: case 0xF3: continue;
            case 0x0F: return at + 1 < bytes.size() && !kTwoByteTransfers[bytes[at + 1]];
            case 0xD5: return mode != Mode::long64;  // REX2: the opcode and its map come later
            default: break;
        }
        if (mode == Mode::long64 && (byte & 0xF0) == 0x40) continue;
        if (!kOneByteTransfers[byte]) return true;
        if (at + 1 == bytes.size()) return false;
        // Two slots in which transfers are rare, told by ModRM: XBEGIN among MOV, calls and jumps among INC, DEC and PUSH.
        if (byte == 0xC7) return bytes[at + 1] != 0xF8;
        const int reg = bytes[at + 1] >> 3 & 7;
        return byte == 0xFF && (reg < 2 || reg > 5);
    }
    return false;
}

/// Near branches and returns without a prefix, which nearly all are: opcode and displacement, no parse.
bool plain_branch(Bytes bytes, Mode mode, VirtAddr address, ControlFlow& flow) {
    if (width_bits(mode) == 16 || bytes.empty()) return false;
    if (bytes[0] == 0xC3) {
        flow.kind = Flow::leave;
        return true;
    }
    if (bytes.size() < 2) return false;
    const auto branch = [&](Flow kind, std::int64_t displacement, std::uint8_t displacement_bytes, std::uint64_t length) {
        flow.kind = kind;
        flow.displacement = displacement;
        flow.displacement_bytes = displacement_bytes;
        const std::uint64_t sum = address.value + length + static_cast<std::uint64_t>(displacement);
        flow.target = VirtAddr{mode == Mode::long64 ? sum : sum & 0xFFFFFFFF};
        return true;
    };
    const auto short_branch = [&](Flow kind) { return branch(kind, static_cast<std::int8_t>(bytes[1]), 1, 2); };
    const auto near_branch = [&](Flow kind, std::uint8_t opcode_size) {
        const auto displacement = ByteView(bytes).get<std::uint32_t>(opcode_size);
        return displacement && branch(kind, static_cast<std::int32_t>(*displacement), 4, opcode_size + 4u);
    };
    switch (bytes[0]) {
        case 0xE8: return near_branch(Flow::call, 1);
        case 0xE9: return near_branch(Flow::jump, 1);
        case 0xEB: return short_branch(Flow::jump);
        case 0x0F: return (bytes[1] & 0xF0) == 0x80 && near_branch(Flow::conditional, 2);
        default: return (bytes[0] & 0xF0) == 0x70 && short_branch(Flow::conditional);
    }
}

/// The flow of what is neither a plain branch nor known by its opcode byte.
ControlFlow parsed_flow(Bytes bytes, Mode mode, VirtAddr address) {
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

}  // namespace

bool may_transfer_control(OpcodeMap map, std::uint8_t opcode) {
    return (map == OpcodeMap::one && kOneByteTransfers[opcode]) || (map == OpcodeMap::m0f && kTwoByteTransfers[opcode]);
}

ControlFlow control_flow(Bytes bytes, Mode mode, VirtAddr address) {
    // One variable, which stands where the caller wants it: a copy would wait for the writes of its fields.
    ControlFlow flow;
    if (!plain_branch(bytes, mode, address, flow) && !surely_falls_through(bytes, mode)) flow = parsed_flow(bytes, mode, address);
    return flow;
}

}  // namespace trapline::scan
