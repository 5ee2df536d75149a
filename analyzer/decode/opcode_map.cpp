// SPDX-License-Identifier: Apache-2.0
// Reads isa-specs/x86/opcode-maps.json, whose head explains the notation.
#include "decode/opcode_map.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "decode/spec_file.h"
#include "decode/spec_words.h"

namespace trapline::decode {
namespace {

using isa::JsonCursor;

std::optional<SlotForm> parse_form(std::string_view text) {
    if (text == "hole") return SlotForm::hole;
    if (text == "plain") return SlotForm::plain;
    if (text == "modrm") return SlotForm::modrm;
    if (text == "prefix") return SlotForm::prefix;
    if (text == "escape") return SlotForm::escape;
    return std::nullopt;
}

std::optional<RegField> parse_reg_field(std::string_view text) {
    if (text == "register") return RegField::reg;
    if (text == "opcode") return RegField::opcode;
    if (text == "segment") return RegField::segment;
    return std::nullopt;
}

std::optional<isa::OperandSize64> parse_osize64(std::string_view text) {
    if (text == "default64") return isa::OperandSize64::default64;
    if (text == "forced64") return isa::OperandSize64::forced64;
    return std::nullopt;
}

std::optional<isa::ModRequirement> parse_mod(std::string_view text) {
    if (text == "mem") return isa::ModRequirement::memory;
    if (text == "reg") return isa::ModRequirement::reg;
    if (text == "ignored") return isa::ModRequirement::ignored;
    return std::nullopt;
}

/// Reads an optional member through one of the word tables above.
template <class T, class Parse>
void read_word(const JsonCursor& row, std::string_view key, Parse parse, std::string_view allowed, T& out) {
    const auto member = row.member(key);
    if (!member) return;
    const auto text = member->string();
    if (!text) return;
    if (const auto value = parse(*text)) {
        out = static_cast<T>(*value);
    } else {
        member->refuse(fmt::format("found {} \"{}\", expected one of {}", key, *text, allowed));
    }
}

/// Reads what rows and cases have in common.
void read_slot(const JsonCursor& row, Slot& slot) {
    read_word(row, "form", parse_form, "hole plain modrm prefix escape", slot.form);
    read_word(row, "imm", isa::parse_immediate, "none ib iw id iz iv jz iw+ib ib+ib ptr moffs", slot.imm);
    read_word(row, "osize64", parse_osize64, "default64 forced64", slot.osize64);
    row.read("lock", slot.lock);
}

SlotCase read_case(const JsonCursor& row, const Slot& base) {
    SlotCase out;
    out.slot = base;
    out.slot.case_count = 0;
    out.modes = all_modes();
    if (!row.is_object({"prefix", "mod", "reg", "rm", "in", "form", "imm", "osize64", "lock", "what"})) return out;
    read_slot(row, out.slot);
    out.prefix_bits = read_prefixes(row, kAnyPrefix);
    out.mod_bits = read_mod_bits(row);
    out.reg_mask = read_mask(row, "reg", 16);
    out.rm_mask = static_cast<std::uint8_t>(read_mask(row, "rm", 8));
    if (const auto modes = row.member("in")) out.modes = read_modes(*modes);
    return out;
}

Slot read_row(const JsonCursor& row, std::vector<SlotCase>& cases) {
    Slot slot;
    slot.modes = all_modes();
    if (!row.is_object({"op", "form", "imm", "not_in", "mod", "prefix", "reg", "osize64", "lock", "cases", "what"})) return slot;
    (void)row.member("form", true);
    read_slot(row, slot);
    slot.prefix.bits = read_prefixes(row, kAnyPrefix);
    read_word(row, "mod", parse_mod, "mem reg ignored", slot.mod);
    read_word(row, "reg", parse_reg_field, "register opcode segment", slot.reg_field);
    if (const auto modes = row.member("not_in")) slot.modes.bits &= static_cast<std::uint8_t>(~read_modes(*modes).bits);
    if (const auto list = row.member("cases")) {
        const std::size_t begin = cases.size();
        for (const JsonCursor& one : list->elements()) cases.push_back(read_case(one, slot));
        slot.case_begin = static_cast<std::uint16_t>(begin);
        slot.case_count = static_cast<std::uint8_t>(std::min<std::size_t>(cases.size() - begin, 255));
    }
    return slot;
}

}  // namespace

Result<OpcodeMaps> OpcodeMaps::parse(std::string_view json, std::string_view file) {
    const isa::Json document = isa::Json::parse(json, nullptr, false);
    if (document.is_discarded()) {
        return fail(ErrorCode::malformed, "found text that is not JSON, expected the opcode maps", std::string(file));
    }
    std::vector<Error> errors;
    auto storage = std::make_shared<Storage>();
    const JsonCursor root(document, std::string(file), "", errors);
    if (root.is_object({"schema", "title", "reading", "maps"})) {
        std::string schema;
        root.read("schema", schema, true);
        if (schema != "trapline.opcode-maps/1")
            root.refuse(fmt::format("found schema \"{}\", expected trapline.opcode-maps/1", schema));
        const auto maps = root.member("maps", true);
        for (int index = 0; maps && index < isa::kOpcodeMapCount; ++index) {
            const auto rows = maps->member(isa::to_string(static_cast<isa::OpcodeMap>(index)), true);
            if (!rows) continue;
            std::array<int, 256> claims{};
            for (const JsonCursor& row : rows->elements()) {
                const Slot slot = read_row(row, storage->cases);
                const auto opcodes = row.member("op", true);
                if (!opcodes) continue;
                read_numbers(*opcodes, 16, 256, [&](int opcode) {
                    if (claims[opcode]++ != 0) opcodes->refuse(fmt::format("found opcode {:02X} in a second row, expected one", opcode));
                    storage->slots[static_cast<std::size_t>(index) * 256 + opcode] = slot;
                });
            }
            for (int opcode = 0; opcode < 256; ++opcode)
                if (claims[opcode] == 0) rows->refuse(fmt::format("found no row for opcode {:02X}, expected one", opcode));
        }
        if (maps) {
            for (const auto& item : maps->value().items())
                if (!isa::parse_opcode_map(item.key())) maps->refuse(fmt::format("found unknown map \"{}\"", item.key()));
        }
    }
    if (!errors.empty()) return tl::unexpected(errors.front());
    return OpcodeMaps(std::move(storage));
}

const Slot& OpcodeMaps::refine_by_cases(const Slot& slot, Mode mode, isa::PrefixSet::Bit prefix, std::uint8_t mod, std::uint8_t reg,
                                        std::uint8_t rm) const {
    const std::uint8_t mod_bit = mod == 3 ? kRegisterBit : kMemoryBit;
    for (std::size_t i = slot.case_begin, end = i + slot.case_count; i < end; ++i) {
        const SlotCase& one = cases_[i];
        if ((one.prefix_bits & prefix) != 0 && (one.mod_bits & mod_bit) != 0 && (one.reg_mask >> reg & 1) != 0 &&
            (one.rm_mask >> rm & 1) != 0 && one.modes.contains(mode)) {
            return one.slot;
        }
    }
    return slot;
}

}  // namespace trapline::decode
