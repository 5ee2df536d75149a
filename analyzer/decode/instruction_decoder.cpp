// SPDX-License-Identifier: Apache-2.0
// Pages first, then the structure parser with the slot's claims.
#include "decode/instruction_decoder.h"

#include <algorithm>

#include "decode/form_index.h"

namespace trapline::decode {

struct InstructionDecoder::OwnTables {
    OwnedFormTables tables;
};

InstructionDecoder::InstructionDecoder(const isa::Database& database, const isa::Profile& profile)
    : database_(&database), profile_(&profile), exists_(form_count(database), 0) {
    if (database.version == generated_database_version()) {
        tables_ = generated_form_tables();
    } else {
        own_ = std::make_unique<OwnTables>(OwnTables{build_form_tables(database, OpcodeMaps::generated())});
        tables_ = own_->tables.view();
    }
    std::size_t form = 1;
    for (const isa::Record& record : database.records) exists_[form++] = isa::exists_in(record, profile);
    for (const isa::InnocuousForm& innocuous : database.innocuous) exists_[form++] = isa::exists_in(innocuous, profile);
    for (FormIndex leaf : tables_.leaves) leaves_.push_back(leaf != kComplexLeaf && exists_[leaf] != 0 ? leaf : kComplexLeaf);
    for (Mode mode : kAllModes) blocks_[static_cast<std::size_t>(mode)] = BlockDecoder(tables_, mode);
}

InstructionDecoder::~InstructionDecoder() = default;
InstructionDecoder::InstructionDecoder(InstructionDecoder&&) noexcept = default;

std::string_view InstructionDecoder::mnemonic(FormIndex form) const {
    if (form == 0) return "";
    if (const isa::Record* found = record(form)) return found->mnemonic;
    return database_->innocuous[form - 1u - database_->records.size()].mnemonic;
}

FormIndex InstructionDecoder::find_form(const Structure& structure) const {
    bool record_only = false, locked_out = false;
    switch (structure.status) {
        case StructureStatus::ok: break;
        // A form that needs LOCK (AMD's MOV CR8) knows its own encoding better than the opcode maps do.
        case StructureStatus::lock_illegal: locked_out = true; break;
        case StructureStatus::hole:
        case StructureStatus::not_in_mode:
        case StructureStatus::needs_memory:
        case StructureStatus::needs_register:
        case StructureStatus::prefix_undefined: record_only = true; break;
        case StructureStatus::truncated:
        case StructureStatus::too_long:
        case StructureStatus::prefix_before_vex:
        case StructureStatus::reserved_map:
        case StructureStatus::vex_in_real_mode:
        case StructureStatus::rex2_misplaced: return 0;
    }
    return find_claim(structure.key, record_only, locked_out);
}

FormIndex InstructionDecoder::find_claim(const isa::EncodingKey& key, bool record_only, bool lock_illegal) const {
    const SlotIndex& index = tables_.slot(key.mode, key.map, key.opcode);
    const Choice choice = tables_.choices[tables_.buckets[index.base + bucket_number(index.selector, prefix_number(key.prefix), key.mod == 3, key.reg & 7)]];
    for (std::uint32_t i = choice.begin; i < choice.begin + choice.count; ++i) {
        const Claim& claim = tables_.claims[tables_.claim_lists[i]];
        if (exists_[claim.form] == 0 || !isa::matches(claim.encoding, key)) continue;
        if (record_only && record(claim.form) == nullptr) continue;
        if (key.lock && !claim.encoding.requires_lock && (lock_illegal || !claim.encoding.lock_allowed)) return 0;
        return claim.form;
    }
    return 0;
}

/// On the 8086 the byte 0F is POP CS and leads to no other map; the opcode maps know only what came later.
FormIndex InstructionDecoder::find_pop_cs(const Structure& structure, Bytes bytes) const {
    constexpr std::uint8_t kEscape = 0x0F;
    if (structure.prefix_size >= bytes.size() || bytes[structure.prefix_size] != kEscape) return 0;
    isa::EncodingKey key = structure.key;
    key.map = isa::OpcodeMap::one;
    key.opcode = kEscape;
    key.has_modrm = false;
    return find_claim(key, true, key.lock);
}

PageView InstructionDecoder::page_view(Mode mode) const {
    const bool long_mode = mode == Mode::long64, address16 = width_bits(mode) == 16;
    return {.pages = tables_.pages.data() + static_cast<std::size_t>(mode) * kPrefixStates * kPageOpcodes,
            .leaves = leaves_.data(),
            .modrm_size = (address16 ? kModrmSize16 : kModrmSize32).data(),
            .rex_mask = static_cast<std::uint8_t>(long_mode ? 0xF0 : 0)};
}

Insn InstructionDecoder::decode(Bytes bytes, Mode mode) const {
    if (bytes.size() >= kPageWindow) {
        const Insn insn = decode_by_page(page_view(mode), bytes.data());
        if (insn.length != 0) return insn;
    }
    return decode_full(bytes, mode);
}

Insn InstructionDecoder::decode_full(Bytes bytes, Mode mode) const {
    const Structure structure = parse_structure(OpcodeMaps::generated(), bytes, mode);
    if (profile_->era == isa::Era::i8086) {
        if (const FormIndex pop_cs = find_pop_cs(structure, bytes); pop_cs != 0) return {static_cast<std::uint8_t>(structure.prefix_size + 1), pop_cs};
    }
    const FormIndex form = find_form(structure);
    return form == 0 ? Insn{} : Insn{structure.length, form};
}

}  // namespace trapline::decode
