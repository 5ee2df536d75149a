// SPDX-License-Identifier: Apache-2.0
// Sorts instructions by what the machine does with them (SDM volume 2, appendix A: the opcode maps) and names them by content.
#include "patch/proof/instruction.h"

#include <algorithm>

#include "patch/proof/memory.h"

namespace trapline::patch::proof {
namespace {

using decode::EncodingSpace;
using isa::OpcodeMap;

constexpr std::array<Action, 256> kOneByte = [] {
    std::array<Action, 256> table{};
    const auto fill = [&](int first, int last, Action action) {
        for (int opcode = first; opcode <= last; ++opcode) table[static_cast<std::size_t>(opcode)] = action;
    };
    // ADD OR ADC SBB AND SUB XOR CMP, six forms each; the last two of each eight are other instructions.
    for (int row = 0; row < 8; ++row) fill(row * 8, row * 8 + 5, Action::alu);
    fill(0x50, 0x57, Action::push_register);
    fill(0x58, 0x5F, Action::pop_register);
    fill(0x68, 0x68, Action::push_immediate);
    fill(0x6A, 0x6A, Action::push_immediate);
    fill(0x70, 0x7F, Action::conditional_jump);
    fill(0x80, 0x83, Action::alu_immediate);
    fill(0x84, 0x85, Action::test);
    fill(0x88, 0x89, Action::mov_store);
    fill(0x8A, 0x8B, Action::mov_load);
    fill(0x8D, 0x8D, Action::lea);
    fill(0xA0, 0xA3, Action::mov_offset);
    fill(0xA8, 0xA9, Action::test_immediate);
    fill(0xB0, 0xBF, Action::mov_immediate);
    fill(0xC2, 0xC3, Action::ret);
    fill(0x9C, 0x9C, Action::pushf);
    fill(0x9D, 0x9D, Action::popf);
    fill(0xE0, 0xE3, Action::loop);
    fill(0xE8, 0xE8, Action::call);
    fill(0xE9, 0xE9, Action::jump);
    fill(0xEB, 0xEB, Action::jump);
    fill(0xEA, 0xEA, Action::far_jump);
    fill(0xFA, 0xFA, Action::cli);
    fill(0xFB, 0xFB, Action::sti);
    return table;
}();

Action one_byte(const decode::Structure& insn) {
    const isa::EncodingKey& key = insn.key;
    const unsigned reg = key.reg & 7u;
    switch (key.opcode) {
        case 0x40: case 0x41: case 0x42: case 0x43: case 0x44: case 0x45: case 0x46: case 0x47:
        case 0x48: case 0x49: case 0x4A: case 0x4B: case 0x4C: case 0x4D: case 0x4E: case 0x4F:
            return Action::increment;  // outside 64-bit mode, where these bytes are REX and never the opcode
        case 0x8F: return reg == 0 ? Action::pop_rm : Action::opaque;
        case 0x90: return insn.rex == 0 || !key.rex_b ? Action::nop : Action::opaque;
        case 0xC6: case 0xC7: return reg == 0 ? Action::mov_immediate_rm : Action::opaque;
        case 0xF6: case 0xF7: return reg <= 1 ? Action::test_immediate : Action::opaque;
        case 0xFE: return reg <= 1 ? Action::increment : Action::opaque;
        case 0xFF:
            switch (reg) {
                case 0: case 1: return Action::increment;
                case 2: return Action::call_rm;
                case 4: return Action::jump_rm;
                case 6: return Action::push_rm;
                default: return Action::opaque;
            }
        default: return kOneByte[key.opcode];
    }
}

Action two_byte(const decode::Structure& insn) {
    const isa::EncodingKey& key = insn.key;
    if (key.opcode >= 0x80 && key.opcode <= 0x8F) return Action::conditional_jump;
    const unsigned reg = key.reg & 7u;
    switch (key.opcode) {
        case 0x00: return reg == 0 ? Action::sldt : reg == 1 ? Action::str : Action::opaque;
        case 0x01: return reg == 4 ? Action::smsw : Action::opaque;
        case 0x1F: return reg == 0 ? Action::nop : Action::opaque;
        case 0x20: return Action::read_control;
        default: return Action::opaque;
    }
}

Action find_action(const Instruction& insn) {
    const decode::Structure& structure = insn.structure;
    const isa::EncodingKey& key = structure.key;
    if (structure.space != EncodingSpace::legacy || scan::emulation_prefix_length(Bytes(insn.bytes).first(structure.length)) != 0) return Action::opaque;
    const Action action = key.map == OpcodeMap::one ? one_byte(structure) : key.map == OpcodeMap::m0f ? two_byte(structure) : Action::opaque;
    // LOCK MOV from CR0 names CR8 on AMD's processors; elsewhere LOCK changes nothing that one processor sees, but an
    // instruction that is not modelled exactly is better not modelled at all.
    if (key.lock && action != Action::read_control) return Action::opaque;
    const bool memory = key.has_modrm && key.mod != 3;
    if ((memory || action == Action::mov_offset || action == Action::loop) && key.asize == 16) return Action::opaque;
    // A branch with a 66 prefix outside 64-bit mode truncates the instruction pointer; in 64-bit mode makers differ.
    const bool branch = action == Action::conditional_jump || action == Action::loop || (action >= Action::jump && action <= Action::far_jump);
    if (branch && key.has_66) return Action::opaque;
    if (action == Action::read_control) {
        const unsigned control = insn.reg();
        const bool known = key.lock ? control == 0 : control == 0 || control == 2 || control == 3 || control == 4 || (control == 8 && insn.mode == Mode::long64);
        return known ? action : Action::opaque;
    }
    return action;
}

std::int64_t read_signed(const Instruction& insn, unsigned offset, unsigned size) {
    if (size == 0) return 0;
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size && i < 8; ++i) value |= static_cast<std::uint64_t>(insn.bytes[offset + i]) << (8 * i);
    if (size >= 8) return static_cast<std::int64_t>(value);
    const unsigned shift = 64 - 8 * size;
    return static_cast<std::int64_t>(value << shift) >> shift;
}

/// Hashes the bytes, with displacements that count from the instruction's end replaced by where they lead.
std::uint64_t find_identity(const Instruction& insn) {
    const decode::Structure& structure = insn.structure;
    unsigned skip_begin = 0, skip_end = 0;
    std::uint64_t meaning = 0;
    if (insn.flow.target) {
        skip_begin = structure.immediate_offset;
        skip_end = skip_begin + structure.immediate_size;
        meaning = mix(insn.flow.target->value, 2);
    } else if (insn.is_rip_relative()) {
        skip_begin = structure.displacement_offset;
        skip_end = skip_begin + structure.displacement_size;
        const std::uint64_t address = insn.next + static_cast<std::uint64_t>(insn.displacement());
        meaning = mix(structure.key.asize == 32 ? address & 0xFFFFFFFFu : address, 3);
    }
    std::uint64_t hash = mix(static_cast<std::uint64_t>(insn.mode), meaning);
    for (unsigned i = 0; i < structure.length; ++i)
        if (i < skip_begin || i >= skip_end) hash = mix(hash, insn.bytes[i]);
    return hash;
}

}  // namespace

std::int64_t Instruction::immediate() const { return read_signed(*this, structure.immediate_offset, structure.immediate_size); }
std::int64_t Instruction::displacement() const { return read_signed(*this, structure.displacement_offset, structure.displacement_size); }

bool Instruction::is_rip_relative() const {
    return mode == Mode::long64 && structure.key.has_modrm && structure.key.mod == 0 && structure.key.rm == 5 && structure.displacement_size == 4;
}

Instruction decode_instruction(Bytes bytes, Mode mode, std::uint64_t address) {
    Instruction insn;
    insn.address = address;
    insn.mode = mode;
    insn.structure = decode::parse_structure(decode::OpcodeMaps::generated(), bytes, mode);
    // Only a LOCK that a record takes may stand beside another status, and then the length is known.
    if (!insn.structure.valid() && insn.structure.status != decode::StructureStatus::lock_illegal) insn.structure.length = 0;
    if (!insn.valid()) return insn;
    std::copy_n(bytes.begin(), insn.structure.length, insn.bytes.begin());
    insn.next = address + insn.structure.length;
    if (mode != Mode::long64) insn.next &= 0xFFFFFFFFu;
    insn.flow = scan::control_flow(bytes.first(insn.structure.length), mode, VirtAddr{address});
    insn.action = find_action(insn);
    insn.identity = find_identity(insn);
    return insn;
}

}  // namespace trapline::patch::proof
