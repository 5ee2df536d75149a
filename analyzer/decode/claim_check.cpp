// SPDX-License-Identifier: Apache-2.0
// Holds the forms against the opcode maps: shape, holes, slots that nobody claims, bytes that two innocuous forms claim.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "decode/form_index.h"

namespace trapline::decode {
namespace {

using isa::Encoding;
using isa::OperandRules;
using isa::PrefixSet;

constexpr PrefixSet::Bit kPrefixes[4] = {PrefixSet::np, PrefixSet::p66, PrefixSet::f3, PrefixSet::f2};
constexpr const char* kPrefixNames[4] = {"NP", "66", "F3", "F2"};

/// A claim with where it is written.
struct Written {
    Encoding encoding;
    std::string_view name, file, pointer;
    const isa::InnocuousForm* innocuous = nullptr;
    bool superseded = false;  ///< the form ended before current processors, or is another maker's
};

std::string slot_name(isa::OpcodeMap map, int opcode) { return fmt::format("{} {:02X}", isa::to_string(map), opcode); }

class Checker {
public:
    Checker(const isa::Database& database, const OpcodeMaps& maps) : maps_(maps), by_slot_(OpcodeMaps::kSlotCount) {
        const auto add = [&](Written written) {
            by_slot_[static_cast<std::size_t>(written.encoding.map) * 256 + written.encoding.opcode].push_back(std::move(written));
        };
        for (const isa::Record& record : database.records) {
            const bool superseded = record.until < isa::Era::modern || record.vendor == "cyrix" || record.vendor == "via";
            add({record.encoding, record.id, record.file, record.pointer, nullptr, superseded});
        }
        for (const isa::InnocuousForm& form : database.innocuous)
            for (const Encoding& encoding : form.encodings) add({encoding, form.mnemonic, form.file, form.pointer, &form});
    }

    std::vector<Error> run() {
        for (int map = 0; map < isa::kOpcodeMapCount; ++map)
            for (int opcode = 0; opcode < 256; ++opcode) {
                const auto& claims = by_slot_[static_cast<std::size_t>(map) * 256 + static_cast<std::size_t>(opcode)];
                for (const Written& claim : claims) check_shape(claim);
                check_covered(static_cast<isa::OpcodeMap>(map), static_cast<std::uint8_t>(opcode), claims);
                for (std::size_t i = 0; i < claims.size(); ++i)
                    for (std::size_t j = i + 1; j < claims.size(); ++j) check_pair(claims[i], claims[j]);
            }
        return std::move(errors_);
    }

private:
    void refuse(const Written& claim, std::string message) {
        errors_.push_back(Error{ErrorCode::inconsistent, std::string(claim.name) + ": " + std::move(message), std::string(claim.file), std::nullopt, std::string(claim.pointer)});
    }

    /// A claim has the operands that the maps give the slot, and no part of it is a hole there.
    void check_shape(const Written& claim) {
        // Forms that ended, and those of makers who used opcodes otherwise, stood in other maps than today's.
        if (claim.superseded) return;
        const Encoding& e = claim.encoding;
        const Slot& base = maps_.slot(e.map, e.opcode);
        const std::string name = slot_name(e.map, e.opcode);
        if (base.form == SlotForm::prefix || base.form == SlotForm::escape) {
            // POP CS of the 8086 stands where later processors have the escape.
            if (claim.innocuous != nullptr) refuse(claim, fmt::format("claims {}, which is no instruction in opcode-maps.json", name));
            return;
        }
        if (base.form != SlotForm::hole && (base.form == SlotForm::modrm) != e.has_modrm) {
            refuse(claim, fmt::format("{} {} ModRM in opcode-maps.json", name, base.form == SlotForm::modrm ? "has a" : "has no"));
            return;
        }
        for (Mode mode : kAllModes) {
            if (!e.modes.contains(mode)) continue;
            for (PrefixSet::Bit prefix : kPrefixes) {
                if ((e.prefix.bits & prefix) == 0) continue;
                for (std::uint8_t mod : {0, 3})
                    for (std::uint8_t reg = 0; reg < 8; ++reg)
                        for (std::uint8_t rm = 0; rm < 8; ++rm) {
                            if ((mod == 3 && e.mod == isa::ModRequirement::memory) || (mod == 0 && e.mod == isa::ModRequirement::reg)) continue;
                            if ((e.reg_mask >> reg & 1) == 0 || (e.rm_mask >> rm & 1) == 0) continue;
                            const Slot& slot = maps_.refine(base, mode, prefix, mod, reg, rm);
                            std::string problem;
                            if (slot.form == SlotForm::hole) problem = "which is a hole";
                            else if (!slot.modes.contains(mode)) problem = fmt::format("which does not exist in mode {}", to_string(mode));
                            else if ((slot.prefix.bits & prefix) == 0) problem = fmt::format("which is not defined with {}", kPrefixNames[prefix_number(prefix)]);
                            else if (slot.mod == isa::ModRequirement::memory && mod == 3) problem = "which takes memory only";
                            else if (slot.mod == isa::ModRequirement::reg && mod == 0) problem = "which takes a register only";
                            else if (slot.imm != e.imm) problem = fmt::format("whose immediate is {}, not {},", isa::to_string(slot.imm), isa::to_string(e.imm));
                            if (problem.empty()) continue;
                            refuse(claim, fmt::format("claims {} /{} {}, {} in opcode-maps.json", name, reg, mod == 3 ? "register" : "memory", problem));
                            return;
                        }
            }
        }
    }

    static bool may_claim(const Encoding& e, Mode mode, PrefixSet::Bit prefix, std::uint8_t mod, std::uint8_t reg) {
        if (!e.modes.contains(mode) || (e.prefix.bits & prefix) == 0) return false;
        if (!e.has_modrm) return true;
        if ((mod == 3 && e.mod == isa::ModRequirement::memory) || (mod == 0 && e.mod == isa::ModRequirement::reg)) return false;
        return ((e.reg_mask | e.reg_mask >> 8) >> reg & 1) != 0;
    }

    /// What the maps define, some form claims. In the vector maps the forms alone say with which pp, W and L.
    void check_covered(isa::OpcodeMap map, std::uint8_t opcode, const std::vector<Written>& claims) {
        const Slot& base = maps_.slot(map, opcode);
        if (base.form == SlotForm::prefix || base.form == SlotForm::escape || base.form == SlotForm::hole) return;
        const auto refuse_slot = [&](std::string_view where) {
            errors_.push_back(Error{ErrorCode::inconsistent, fmt::format("slot {}{} is no hole, and no form claims it", slot_name(map, opcode), where), "x86/opcode-maps.json", std::nullopt, {}});
        };
        if (isa::is_vector_map(map)) {
            if (claims.empty()) refuse_slot("");
            return;
        }
        for (Mode mode : kAllModes)
            for (PrefixSet::Bit prefix : kPrefixes)
                for (std::uint8_t mod : {0, 3})
                    for (std::uint8_t reg = 0; reg < 8; ++reg) {
                        bool defined = false;
                        for (std::uint8_t rm = 0; rm < 8; ++rm) {
                            const Slot& slot = maps_.refine(base, mode, prefix, mod, reg, rm);
                            defined |= slot.form != SlotForm::hole && slot.modes.contains(mode) && (slot.prefix.bits & prefix) != 0 &&
                                       !(slot.mod == isa::ModRequirement::memory && mod == 3) && !(slot.mod == isa::ModRequirement::reg && mod == 0);
                        }
                        if (!defined) continue;
                        if (std::any_of(claims.begin(), claims.end(), [&](const Written& c) { return may_claim(c.encoding, mode, prefix, mod, reg); })) continue;
                        refuse_slot(fmt::format(" {} /{} {} in mode {}", kPrefixNames[prefix_number(prefix)], reg, mod == 3 ? "register" : "memory", to_string(mode)));
                        return;
                    }
    }

    static bool disjoint(const Encoding& a, const Encoding& b) {
        const auto differ = [](auto x, auto y) { return x != 0 && y != 0 && x != y; };
        const std::uint32_t kNd = OperandRules::nd0 | OperandRules::nd1;
        const std::uint32_t nd_a = a.rules.bits & kNd, nd_b = b.rules.bits & kNd;
        const bool evex = isa::is_evex_map(a.map);
        const auto exclude_nf = [](const Encoding& x, const Encoding& y) { return x.rules.has(OperandRules::nf_required) && !y.rules.has(OperandRules::nf); };
        // nd1 alone needs the bit set; nd0 or nothing needs it clear.
        const bool nd = a.map == isa::OpcodeMap::evex_map4 && (nd_a == OperandRules::nd1) != (nd_b == OperandRules::nd1) && nd_a != kNd && nd_b != kNd;
        const bool memory_against_register = a.has_modrm && b.has_modrm && a.mod != b.mod && a.mod != isa::ModRequirement::any && b.mod != isa::ModRequirement::any;
        return (a.modes.bits & b.modes.bits) == 0 || (a.prefix.bits & b.prefix.bits) == 0 || (a.reg_mask & b.reg_mask) == 0 || (a.rm_mask & b.rm_mask) == 0 ||
               memory_against_register || (a.w && b.w && *a.w != *b.w) || (a.rex_b && b.rex_b && *a.rex_b != *b.rex_b) || a.requires_rex2 != b.requires_rex2 || differ(a.osize, b.osize) || differ(a.asize, b.asize) ||
               (isa::is_vector_map(a.map) && !evex && (a.l_mask & b.l_mask) == 0) || nd || exclude_nf(a, b) || exclude_nf(b, a) ||
               (evex && a.map != isa::OpcodeMap::evex_map4 && (a.l_mask & b.l_mask) == 0);
    }

    void check_pair(const Written& a, const Written& b) {
        if (a.innocuous == nullptr || b.innocuous == nullptr || disjoint(a.encoding, b.encoding)) return;
        const isa::InnocuousForm &x = *a.innocuous, &y = *b.innocuous;
        const bool eras_meet = !(x.until < y.since || y.until < x.since);
        const bool vendors_meet = x.vendor.empty() || y.vendor.empty() || x.vendor == y.vendor;
        if (&x == &y || !eras_meet || !vendors_meet) return;
        refuse(b, fmt::format("claims bytes of {} that {} ({}{}) claims too", slot_name(b.encoding.map, b.encoding.opcode), a.name, a.file, a.pointer));
    }

    const OpcodeMaps& maps_;
    std::vector<std::vector<Written>> by_slot_;
    std::vector<Error> errors_;
};

}  // namespace

std::vector<Error> check_claims(const isa::Database& database, const OpcodeMaps& maps) { return Checker(database, maps).run(); }

}  // namespace trapline::decode
