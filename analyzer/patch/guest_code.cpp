// SPDX-License-Identifier: Apache-2.0
// Encodings: SDM volume 2, "JMP", "Jcc", "CALL", "PUSH", and 2.2.1.6 for rip-relative operands.
#include "patch/guest_code.h"

#include <fmt/format.h>

#include <limits>

namespace trapline::patch {
namespace {

using scan::Flow;

constexpr std::uint8_t kPushImm32 = 0x68, kJumpRel32 = 0xE9, kEscape = 0x0F, kGroup5 = 0xFF;
constexpr std::uint8_t kGroup5Call = 2, kGroup5Jump = 4;

void put32(std::vector<std::uint8_t>& bytes, std::uint64_t value) {
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

/// The rel32 from the end of a field to a target; nothing when 64-bit code cannot reach it.
std::optional<std::uint32_t> relative(Mode mode, std::uint64_t field_end, std::uint64_t target) {
    const std::uint64_t distance = target - field_end;
    const auto narrow = static_cast<std::uint32_t>(distance);
    if (mode == Mode::long64 && static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(narrow)}) != distance) return std::nullopt;
    return narrow;
}

bool is_sign_extended32(std::uint64_t value) {
    return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(value)}) == value;
}

bool is_legacy(const decode::Structure& s) { return s.space == decode::EncodingSpace::legacy; }
bool is_one_byte(const decode::Structure& s, std::uint8_t opcode) {
    return is_legacy(s) && s.key.map == isa::OpcodeMap::one && s.key.opcode == opcode;
}
bool is_0f(const decode::Structure& s, std::uint8_t opcode) {
    return is_legacy(s) && s.key.map == isa::OpcodeMap::m0f && s.key.opcode == opcode;
}
/// Jcc in either length; its condition is in the low four bits of the opcode.
bool is_jcc(const decode::Structure& s) {
    return is_legacy(s) && ((s.key.map == isa::OpcodeMap::one && (s.key.opcode & 0xF0) == 0x70) ||
                            (s.key.map == isa::OpcodeMap::m0f && (s.key.opcode & 0xF0) == 0x80));
}
bool is_near_indirect_call(const decode::Structure& s) { return is_one_byte(s, kGroup5) && (s.key.reg & 7) == kGroup5Call; }

/// Register 4 as operand or as base of one: what PUSH changes before the operand is used.
bool uses_stack_pointer(const decode::Structure& s) {
    if (s.rex & 1) return false;  // r12
    if (s.key.mod == 3) return s.key.rm == 4;
    return s.key.has_sib && (s.key.sib & 7) == 4;
}

void append_return_address(const GuestInstruction& insn, MovedCode& out) {
    out.bytes.push_back(kPushImm32);
    out.fixups.push_back({static_cast<std::uint32_t>(out.bytes.size()), FixupKind::image_address});
    put32(out.bytes, insn.address + insn.bytes.size());
}

/// Appends an opcode with the rel32 to the branch's target.
bool append_branch(const GuestInstruction& insn, std::uint64_t to, std::initializer_list<std::uint8_t> opcode, MovedCode& out) {
    out.bytes.insert(out.bytes.end(), opcode);
    const auto field = relative(insn.mode, to + out.bytes.size() + 4, insn.flow.target->value);
    if (!field) return false;
    out.fixups.push_back({static_cast<std::uint32_t>(out.bytes.size()), FixupKind::image_relative});
    put32(out.bytes, *field);
    return true;
}

}  // namespace

bool GuestInstruction::is_rip_relative() const {
    return mode == Mode::long64 && structure.key.has_modrm && structure.key.mod == 0 && structure.key.rm == 5 && structure.displacement_size == 4;
}

bool GuestInstruction::is_nop() const {
    if (is_one_byte(structure, 0x90)) return structure.rep == 0 && !structure.key.rex_b;
    return is_0f(structure, 0x1F);
}

std::optional<GuestInstruction> read_instruction(const scan::CodeFacts& facts, scan::CodePlace place) {
    const scan::SectionCode& code = facts.sections()[place.section];
    if (place.offset >= code.bytes.size()) return std::nullopt;
    const int length = code.map.swept_length(place.offset);
    if (length == 0) return std::nullopt;
    GuestInstruction insn;
    insn.place = place;
    insn.address = code.address_of(place.offset).value;
    insn.mode = code.mode;
    insn.bytes = code.bytes.subspan(place.offset, static_cast<std::size_t>(length));
    insn.emulation_prefix = scan::emulation_prefix_length(insn.bytes) != 0;
    insn.structure = decode::parse_structure(decode::OpcodeMaps::generated(), insn.bytes, code.mode);
    insn.flow = scan::control_flow(insn.bytes, code.mode, VirtAddr{insn.address});
    return insn;
}

std::string obstacle_to_moving(const GuestInstruction& insn) {
    const decode::Structure& s = insn.structure;
    if (insn.emulation_prefix) return "it is an emulation prefix with data behind it";
    if (!s.valid() && s.status != decode::StructureStatus::lock_illegal) return "the opcode maps cannot parse it";
    if (s.space == decode::EncodingSpace::legacy && s.key.map == isa::OpcodeMap::m0f && s.key.opcode == 0x1E && s.rep == 0xF3 && s.key.mod == 3 && s.key.reg == 7)
        return "ENDBR marks where indirect branches may land";
    switch (insn.flow.kind) {
        case Flow::stop: return "the fault handler looks its address up";
        case Flow::breakpoint: return "INT3 tells its handler where it stands";
        case Flow::conditional:
            if (!is_jcc(s)) return "LOOP, JCXZ and XBEGIN have no rel32 of use here";
            [[fallthrough]];
        case Flow::jump:
        case Flow::call:
            if (s.key.has_66) return "the branch has an operand-size prefix, which processors read differently";
            if (!insn.flow.target) return "its target is not known";
            if (insn.flow.kind == Flow::call && insn.flow.target->value == insn.address + insn.bytes.size())
                return "it calls the next instruction to learn where it stands";
            break;
        case Flow::indirect_call:
            if (!is_near_indirect_call(s) || s.key.has_66) return "a far call pushes its code segment too";
            if (uses_stack_pointer(s)) return "its operand hangs on the stack pointer, which the pushed return address moves";
            break;
        case Flow::indirect_jump:
        case Flow::leave:
        case Flow::fallthrough: break;
    }
    if (insn.is_rip_relative() && s.has_67) return "its operand is relative to EIP, which wraps at 4 GiB";
    const bool calls = insn.flow.kind == Flow::call || insn.flow.kind == Flow::indirect_call;
    if (calls && insn.mode == Mode::long64 && !is_sign_extended32(insn.address + insn.bytes.size()))
        return "its return address does not fit PUSH imm32";
    return {};
}

std::optional<MovedCode> move_instruction(const GuestInstruction& insn, std::uint64_t to) {
    TRAPLINE_ASSERT(obstacle_to_moving(insn).empty(), "only movable instructions are moved");
    MovedCode out;
    switch (insn.flow.kind) {
        case Flow::conditional:
            return append_branch(insn, to, {kEscape, static_cast<std::uint8_t>(0x80 | (insn.structure.key.opcode & 0x0F))}, out) ? std::optional(out) : std::nullopt;
        case Flow::jump: return append_branch(insn, to, {kJumpRel32}, out) ? std::optional(out) : std::nullopt;
        case Flow::call:
            append_return_address(insn, out);
            return append_branch(insn, to, {kJumpRel32}, out) ? std::optional(out) : std::nullopt;
        case Flow::indirect_call: append_return_address(insn, out); break;
        case Flow::fallthrough:
        case Flow::indirect_jump:
        case Flow::leave:
        case Flow::stop:
        case Flow::breakpoint: break;
    }
    const std::size_t start = out.bytes.size();
    out.bytes.insert(out.bytes.end(), insn.bytes.begin(), insn.bytes.end());
    if (insn.flow.kind == Flow::indirect_call) {
        std::uint8_t& modrm = out.bytes[start + insn.structure.modrm_offset];
        modrm = static_cast<std::uint8_t>((modrm & ~0x38) | kGroup5Jump << 3);
    }
    if (insn.is_rip_relative()) {
        const std::size_t field = start + insn.structure.displacement_offset;
        std::uint32_t displacement = 0;
        for (int i = 0; i < 4; ++i) displacement |= std::uint32_t{insn.bytes[insn.structure.displacement_offset + static_cast<std::size_t>(i)]} << (8 * i);
        const std::uint64_t target = insn.address + insn.bytes.size() + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(displacement)});
        const auto moved = relative(insn.mode, to + start + insn.bytes.size(), target);
        if (!moved) return std::nullopt;
        for (std::size_t i = 0; i < 4; ++i) out.bytes[field + i] = static_cast<std::uint8_t>(*moved >> (8 * i));
        out.fixups.push_back({static_cast<std::uint32_t>(field), FixupKind::image_relative});
    }
    return out;
}

std::optional<std::vector<std::uint8_t>> encode_jump(Mode mode, std::uint64_t from, std::uint64_t to) {
    const auto field = relative(mode, from + kJumpBytes, to);
    if (!field) return std::nullopt;
    std::vector<std::uint8_t> bytes = {kJumpRel32};
    put32(bytes, *field);
    return bytes;
}

}  // namespace trapline::patch
