// SPDX-License-Identifier: Apache-2.0
// Examples and the operands in their text.
#include "instruction.h"

#include <array>

#include "decode/decoder.h"
#include "decode/structure.h"

namespace trapline::ring0 {

namespace {

constexpr std::array<std::string_view, 16> kRegisters16 = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"};
constexpr std::array<std::string_view, 16> kRegisters32 = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"};
constexpr std::array<std::string_view, 4> kRegisters8 = {"al", "cl", "dl", "bl"};

std::optional<Slot> register_slot(std::string_view name) {
    for (std::size_t i = 0; i < 16; ++i)
        if (name == kRegisters16[i] || name == kRegisters32[i] || name == kSlotNames[i]) return static_cast<Slot>(i);
    for (std::size_t i = 0; i < 4; ++i)
        if (name == kRegisters8[i]) return static_cast<Slot>(i);
    return std::nullopt;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

/// The memory operand between brackets: its registers, and its displacement.
struct MemoryOperand {
    bool present = false;
    std::vector<Slot> registers;
    std::int64_t displacement = 0;
};

std::optional<MemoryOperand> memory_operand(std::string_view text) {
    MemoryOperand operand;
    const std::size_t open = text.find('['), close = text.find(']');
    if (open == std::string_view::npos) return operand;
    operand.present = true;
    std::string_view inside = text.substr(open + 1, close - open - 1);
    std::int64_t sign = 1;
    while (!inside.empty()) {
        const std::size_t end = inside.find_first_of("+-");
        const std::string_view term = trim(inside.substr(0, end));
        if (const auto slot = register_slot(term)) operand.registers.push_back(*slot);
        else if (const auto number = parse_number(term)) operand.displacement += sign * static_cast<std::int64_t>(*number);
        else return std::nullopt;
        if (end == std::string_view::npos) break;
        sign = inside[end] == '-' ? -1 : 1;
        inside.remove_prefix(end + 1);
    }
    return operand;
}

std::optional<Slot> last_register_operand(std::string_view text) {
    std::size_t begin = text.find_last_of(", ");
    return register_slot(trim(begin == std::string_view::npos ? text : text.substr(begin + 1)));
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const bool hex = text.starts_with("0x");
    const std::string copy(hex ? text.substr(2) : text);
    if (copy.empty() || copy.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789") != std::string::npos) return std::nullopt;
    value = std::stoull(copy, nullptr, hex ? 16 : 10);
    return value;
}

std::optional<Instruction> pick_instruction(const isa::Record& record, Mode mode, const Setup& setup) {
    const auto witness = decode::make_llvm_witness();
    std::vector<std::pair<std::vector<std::uint8_t>, std::string>> candidates;
    if (setup.bytes) {
        std::vector<std::uint8_t> bytes = *parse_hex(*setup.bytes);
        if (setup.rex_w) bytes.insert(bytes.begin(), 0x48);
        candidates.emplace_back(bytes, "");
    }
    for (const bool same_mode : {true, false})
        for (const isa::Example& example : record.examples)
            if ((example.mode == mode) == same_mode) candidates.emplace_back(example.bytes, example.text);
    for (const auto& [bytes, text] : candidates) {
        const decode::Structure structure = decode::parse_structure(decode::OpcodeMaps::generated(), bytes, mode);
        if (structure.length != bytes.size() || !isa::matches(record.encoding, structure.key)) continue;
        const decode::Opinion opinion = witness->decode(bytes, mode, VirtAddr{kCode});
        Instruction instruction;
        instruction.bytes = bytes;
        instruction.text = opinion.valid && opinion.length == static_cast<int>(bytes.size()) ? opinion.text : text;
        instruction.immediate_offset = structure.immediate_offset;
        instruction.immediate_size = structure.immediate_size;
        // Other bases than the flat ones are not set up, and an absolute address is not the window's.
        if (structure.segment == 0x64 || structure.segment == 0x65) continue;
        const auto operand = memory_operand(instruction.text);
        if (!operand || (operand->present && operand->registers.empty())) continue;
        instruction.pointer = operand->registers;
        instruction.displacement = operand->displacement;
        instruction.last_register = last_register_operand(instruction.text);
        return instruction;
    }
    return std::nullopt;
}

}  // namespace trapline::ring0
