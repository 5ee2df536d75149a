// SPDX-License-Identifier: Apache-2.0
// The slot index: for each mode, map and opcode the buckets by prefix, operand kind and ModRM.reg, each with its claims.
#include "decode/form_index.h"

#include <algorithm>
#include <map>

#include "decode/fast_pages.h"

namespace trapline::decode {
namespace {

using isa::Encoding;
using isa::PrefixSet;

constexpr PrefixSet::Bit kPrefixes[4] = {PrefixSet::np, PrefixSet::p66, PrefixSet::f3, PrefixSet::f2};
constexpr std::uint16_t kLowRegs = 0x00FF, kHighRegs = 0xFF00;

/// Fills in what the opcode maps know of a form and its notation leaves out.
Encoding completed(Encoding encoding, const OpcodeMaps& maps) {
    const Slot& slot = maps.slot(encoding.map, encoding.opcode);
    encoding.osize64 = slot.osize64;
    encoding.lock_allowed = true;  // where LOCK is legal is the slot's to say
    if (encoding.has_modrm && slot.mod == isa::ModRequirement::ignored) encoding.mod = isa::ModRequirement::ignored;
    return encoding;
}

/// Says whether ModRM.reg of the form includes REX.R.
bool names_high_registers(const Encoding& encoding) {
    return (encoding.reg_mask & kHighRegs) != 0 || encoding.mod == isa::ModRequirement::ignored;
}

/// Says whether some instruction of the bucket may match.
bool may_match(const Encoding& encoding, Mode mode, PrefixSet::Bit prefix, bool is_register, unsigned reg) {
    if (!encoding.modes.contains(mode) || (encoding.prefix.bits & prefix) == 0) return false;
    if (!encoding.has_modrm) return true;
    if (encoding.mod == isa::ModRequirement::memory && is_register) return false;
    if (encoding.mod == isa::ModRequirement::reg && !is_register) return false;
    const unsigned regs = encoding.reg_mask | (names_high_registers(encoding) ? encoding.reg_mask >> 8 : 0);
    return (regs >> reg & 1) != 0;
}

/// Says whether every instruction of a bucket that may match does.
bool is_certain(const Encoding& encoding) {
    const bool all_or_low = !names_high_registers(encoding) || encoding.reg_mask == 0xFFFF;
    return all_or_low && encoding.rm_mask == 0xFF && encoding.osize == 0 && encoding.asize == 0 && !encoding.w && !encoding.rex_b && !encoding.requires_lock && !encoding.requires_rex2 &&
           encoding.mod != isa::ModRequirement::ignored && !isa::is_vector_map(encoding.map);
}

class Builder {
public:
    Builder(const isa::Database& database, const OpcodeMaps& maps) : maps_(maps), by_slot_(static_cast<std::size_t>(isa::kOpcodeMapCount) * 256) {
        FormIndex form = 1;
        std::vector<std::uint16_t> locked, others;
        const auto add = [&](const Encoding& encoding) {
            out_.claims.push_back({encoding, form, is_certain(encoding)});
            auto& list = by_slot_[static_cast<std::size_t>(encoding.map) * 256 + encoding.opcode];
            // A form that needs LOCK (AMD's MOV CR8) or REX2 (JMPABS) outranks the one it would be without the prefix.
            const auto number = static_cast<std::uint16_t>(out_.claims.size() - 1);
            encoding.requires_lock || encoding.requires_rex2 ? list.insert(list.begin(), number) : list.insert(list.end(), number);
        };
        for (const isa::Record& record : database.records) add(record.encoding), ++form;
        for (const isa::InnocuousForm& innocuous : database.innocuous) {
            for (const Encoding& encoding : innocuous.encodings) add(completed(encoding, maps));
            ++form;
        }
    }

    OwnedFormTables build() {
        out_.choices.push_back({});  // the hole
        for (Mode mode : kAllModes)
            for (const auto& claims : by_slot_) out_.slots.push_back(index_slot(mode, claims));
        return std::move(out_);
    }

private:
    std::uint16_t choice_of(const std::vector<std::uint16_t>& claims) {
        if (claims.empty()) return 0;
        const auto [found, fresh] = choice_numbers_.emplace(claims, static_cast<std::uint16_t>(out_.choices.size()));
        if (fresh) {
            out_.choices.push_back({static_cast<std::uint32_t>(out_.claim_lists.size()), static_cast<std::uint8_t>(claims.size())});
            out_.claim_lists.insert(out_.claim_lists.end(), claims.begin(), claims.end());
        }
        return found->second;
    }

    SlotIndex index_slot(Mode mode, const std::vector<std::uint16_t>& claims) {
        std::uint16_t full[4][2][8];
        for (unsigned prefix = 0; prefix < 4; ++prefix)
            for (unsigned is_register = 0; is_register < 2; ++is_register)
                for (unsigned reg = 0; reg < 8; ++reg) {
                    std::vector<std::uint16_t> list;
                    for (std::uint16_t number : claims) {
                        const Claim& claim = out_.claims[number];
                        if (!may_match(claim.encoding, mode, kPrefixes[prefix], is_register != 0, reg)) continue;
                        list.push_back(number);
                    }
                    full[prefix][is_register][reg] = choice_of(list);
                }
        SlotIndex index;
        for (unsigned prefix = 0; prefix < 4; ++prefix)
            for (unsigned is_register = 0; is_register < 2; ++is_register)
                for (unsigned reg = 0; reg < 8; ++reg) {
                    const std::uint16_t value = full[prefix][is_register][reg];
                    if (value != full[0][is_register][reg]) index.selector |= SlotIndex::by_prefix;
                    if (value != full[prefix][0][reg]) index.selector |= SlotIndex::by_mod;
                    if (value != full[prefix][is_register][0]) index.selector |= SlotIndex::by_reg;
                }
        const unsigned size = bucket_number(index.selector, 3, true, 7) + 1;
        std::vector<std::uint16_t> buckets(size);
        for (unsigned prefix = 0; prefix < 4; ++prefix)
            for (unsigned is_register = 0; is_register < 2; ++is_register)
                for (unsigned reg = 0; reg < 8; ++reg)
                    buckets[bucket_number(index.selector, prefix, is_register != 0, reg)] = full[prefix][is_register][reg];
        const auto [found, fresh] = bucket_places_.emplace(buckets, static_cast<std::uint32_t>(out_.buckets.size()));
        if (fresh) out_.buckets.insert(out_.buckets.end(), buckets.begin(), buckets.end());
        index.base = found->second;
        return index;
    }

    const OpcodeMaps& maps_;
    OwnedFormTables out_;
    std::vector<std::vector<std::uint16_t>> by_slot_;
    std::map<std::vector<std::uint16_t>, std::uint16_t> choice_numbers_;
    std::map<std::vector<std::uint16_t>, std::uint32_t> bucket_places_;
};

}  // namespace

OwnedFormTables build_form_tables(const isa::Database& database, const OpcodeMaps& maps) {
    OwnedFormTables tables = Builder(database, maps).build();
    FastPages fast = build_fast_pages(tables.view(), maps);
    tables.pages = std::move(fast.pages);
    tables.leaves = std::move(fast.leaves);
    return tables;
}

SlotCount count_slots(const FormTables& tables, std::size_t record_count) {
    SlotCount count;
    for (Mode mode : kAllModes)
        for (int map = 0; map < isa::kOpcodeMapCount; ++map)
            for (int opcode = 0; opcode < 256; ++opcode) {
                const SlotIndex& slot = tables.slot(mode, static_cast<isa::OpcodeMap>(map), static_cast<std::uint8_t>(opcode));
                for (unsigned prefix = 0; prefix < 4; ++prefix) {
                    bool record = false, innocuous = false;
                    for (unsigned is_register = 0; is_register < 2; ++is_register)
                        for (unsigned reg = 0; reg < 8; ++reg) {
                            const Choice choice = tables.choices[tables.buckets[slot.base + bucket_number(slot.selector, prefix, is_register != 0, reg)]];
                            for (std::uint32_t i = choice.begin; i < choice.begin + choice.count; ++i)
                                (tables.claims[tables.claim_lists[i]].form <= record_count ? record : innocuous) = true;
                        }
                    ++(record ? count.by_records : innocuous ? count.by_innocuous : count.holes);
                }
            }
    return count;
}

}  // namespace trapline::decode
