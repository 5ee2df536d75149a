// SPDX-License-Identifier: Apache-2.0
// The opcode maps as data (isa-specs/x86/opcode-maps.json): what follows an opcode byte, and where none is defined.
// Enough to find the length of every instruction without a disassembler; no effects, no mnemonics.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "isa/record.h"
#include "support/error.h"

namespace trapline::decode {

/// What an opcode byte is in its map.
enum class SlotForm : std::uint8_t {
    hole,    ///< No instruction: #UD.
    plain,   ///< An instruction without ModRM.
    modrm,   ///< An instruction with ModRM.
    prefix,  ///< A legacy prefix; never an instruction by itself.
    escape,  ///< Leads to another map (0F, 0F 38, 0F 3A, 0F 0F).
};

/// What ModRM.reg names, which decides whether REX.R bears on it (SDM volume 2, 2.2.1.2).
enum class RegField : std::uint8_t {
    reg,      ///< A general, vector, control or debug register: REX.R is its bit 3.
    opcode,   ///< Part of the opcode: REX.R is ignored.
    segment,  ///< A segment register: REX.R is ignored.
};

/// One opcode of one map, or one case of it. `form == hole` says #UD whatever the other fields are.
struct Slot {
    SlotForm form = SlotForm::hole;
    isa::Immediate imm = isa::Immediate::none;
    RegField reg_field = RegField::reg;
    isa::ModRequirement mod = isa::ModRequirement::any;  ///< the other kind of operand is #UD
    isa::OperandSize64 osize64 = isa::OperandSize64::usual;
    isa::PrefixSet prefix;     ///< mandatory prefixes with which the slot holds an instruction
    ModeSet modes;             ///< modes in which the slot holds an instruction
    bool lock = false;         ///< takes LOCK when the ModRM operand is memory
    std::uint8_t case_count = 0;
    std::uint16_t case_begin = 0;
};

/// An exception inside a slot, by mandatory prefix, ModRM fields or mode.
struct SlotCase {
    std::uint8_t prefix_bits = 0;  ///< isa::PrefixSet::Bit values
    std::uint8_t mod_bits = 0;     ///< 1 memory, 2 register
    std::uint16_t reg_mask = 0;    ///< as isa::EncodingKey::reg; an opcode extension or segment register is below 8
    std::uint8_t rm_mask = 0;
    ModeSet modes;
    Slot slot;                     ///< what holds instead, complete; has no cases of its own
};

/// The maps. Immutable; lookups neither allocate nor fail.
class OpcodeMaps {
public:
    static constexpr std::size_t kSlotCount = static_cast<std::size_t>(isa::kOpcodeMapCount) * 256;

    /// Views tables that live as long as the program.
    OpcodeMaps(std::span<const Slot, kSlotCount> slots, std::span<const SlotCase> cases) : slots_(slots.data()), cases_(cases) {}
    /// Reads the JSON text. Fails on an unknown key or value, an opcode without a row or with two, naming the place.
    static Result<OpcodeMaps> parse(std::string_view json, std::string_view file);
    /// Gives the maps that were turned into tables when the program was built.
    static const OpcodeMaps& generated();

    std::span<const Slot, kSlotCount> slots() const { return std::span<const Slot, kSlotCount>(slots_, kSlotCount); }
    std::span<const SlotCase> cases() const { return cases_; }
    const Slot& slot(isa::OpcodeMap map, std::uint8_t opcode) const { return slots_[static_cast<std::size_t>(map) * 256 + opcode]; }
    /// Gives the first case of `slot` that applies, or `slot` itself. Fields are those of isa::EncodingKey.
    const Slot& refine(const Slot& slot, Mode mode, isa::PrefixSet::Bit prefix, std::uint8_t mod, std::uint8_t reg, std::uint8_t rm) const {
        return slot.case_count == 0 ? slot : refine_by_cases(slot, mode, prefix, mod, reg, rm);
    }

private:
    struct Storage {
        std::array<Slot, kSlotCount> slots{};
        std::vector<SlotCase> cases;
    };
    explicit OpcodeMaps(std::shared_ptr<const Storage> storage) : slots_(storage->slots.data()), cases_(storage->cases), storage_(std::move(storage)) {}
    const Slot& refine_by_cases(const Slot& slot, Mode mode, isa::PrefixSet::Bit prefix, std::uint8_t mod, std::uint8_t reg, std::uint8_t rm) const;

    const Slot* slots_;
    std::span<const SlotCase> cases_;
    std::shared_ptr<const Storage> storage_;  ///< of parsed maps; null for generated ones
};

}  // namespace trapline::decode
