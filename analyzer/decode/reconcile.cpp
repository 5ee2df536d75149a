// SPDX-License-Identifier: Apache-2.0
// The verdict on one instruction: the generated decoder's, with the witnesses' text and a note of every witness that
// differs.
#include <fmt/format.h>

#include "decode/decoder.h"
#include "decode/differences.h"
#include "decode/instruction_decoder.h"
#include "decode/witness_text.h"

namespace trapline::decode {
namespace {

/// Finds a record that would match with any mandatory prefix, in any mode, in any generation and of any vendor.
const isa::Record* find_near(const isa::Database& database, const isa::EncodingKey& key) {
    for (isa::RecordIndex index : database.slot(key.map, key.opcode)) {
        const isa::Record& record = database.records[index];
        if (record.encoding.requires_lock) continue;
        isa::Encoding relaxed = record.encoding;
        relaxed.prefix.bits = isa::PrefixSet{}.bits;
        relaxed.modes.insert(key.mode);
        if (isa::matches(relaxed, key)) return &record;
    }
    return nullptr;
}

std::string explain_near(const isa::Record& record, const isa::EncodingKey& key, const isa::Profile& profile) {
    if (!record.encoding.modes.contains(key.mode)) return fmt::format("{} does not exist in mode {}", record.mnemonic, to_string(key.mode));
    if (!isa::exists_in(record, profile)) return fmt::format("{} does not exist under profile {}", record.mnemonic, profile.id);
    return fmt::format("{} does not take this 66, F2 or F3 prefix", record.mnemonic);
}

}  // namespace

struct Reconciler::Impl {
    Impl(const isa::Database& database_, const isa::Profile& profile_)
        : database(database_), profile(profile_), decoder(database_, profile_), differences(DecoderDifferences::embedded()),
          llvm(make_llvm_witness()), capstone(make_capstone_witness()) {}

    std::string explain_invalid(const Structure& structure) const;
    void note(Decoded& decoded, const Witness& witness, const Opinion& opinion, const Structure& structure) const;
    void describe(Decoded& decoded, const Opinion& by_llvm, const Opinion& by_capstone) const;

    const isa::Database& database;
    const isa::Profile& profile;
    const InstructionDecoder decoder;
    const DecoderDifferences& differences;
    std::unique_ptr<Witness> llvm;
    std::unique_ptr<Witness> capstone;
};

std::string Reconciler::Impl::explain_invalid(const Structure& structure) const {
    switch (structure.status) {
        case StructureStatus::truncated:
        case StructureStatus::too_long:
        case StructureStatus::prefix_before_vex:
        case StructureStatus::reserved_map:
        case StructureStatus::vex_in_real_mode:
        case StructureStatus::rex2_misplaced:
        // LOCK is the fault of the prefix, not of the form.
        case StructureStatus::lock_illegal: return std::string(to_string(structure.status));
        case StructureStatus::ok:
        case StructureStatus::hole:
        case StructureStatus::not_in_mode:
        case StructureStatus::needs_memory:
        case StructureStatus::needs_register:
        case StructureStatus::prefix_undefined: break;
    }
    // A name says more than "not in this mode". A form that matches but does not exist here comes before one that is near.
    const isa::EncodingKey& key = structure.key;
    for (isa::RecordIndex index : database.slot(key.map, key.opcode)) {
        const isa::Record& record = database.records[index];
        if (isa::matches(record.encoding, key)) {
            if (!isa::exists_in(record, profile)) return explain_near(record, key, profile);
            return std::string(to_string(StructureStatus::lock_illegal));  // the form is there, so it can only be LOCK
        }
    }
    if (const isa::Record* near = find_near(database, key)) return explain_near(*near, key, profile);
    return std::string(structure.valid() ? "no instruction has this encoding" : to_string(structure.status));
}

void Reconciler::Impl::note(Decoded& decoded, const Witness& witness, const Opinion& opinion, const Structure& structure) const {
    if (!decoded.valid && !opinion.valid) return;
    Says says = Says::invalid;
    std::string text = "invalid";
    if (!decoded.valid) {
        says = Says::valid;
        text = "valid as " + opinion.mnemonic;
    } else if (opinion.valid && opinion.length != decoded.length) {
        says = Says::length;
        text = fmt::format("length {}", opinion.length);
    } else if (opinion.valid) {
        if (differences.same_mnemonic(opinion.mnemonic, decoded.mnemonic)) return;
        says = Says::mnemonic;
        text = "mnemonic " + opinion.mnemonic;
    }
    const Difference* row = differences.find(witness.name(), structure, says, opinion.mnemonic);
    decoded.disagreements.push_back({std::string(witness.name()), std::move(text), row != nullptr ? row->reason : std::string()});
}

void Reconciler::Impl::describe(Decoded& decoded, const Opinion& by_llvm, const Opinion& by_capstone) const {
    const auto agrees = [&](const Opinion& opinion) { return opinion.valid && opinion.length == decoded.length; };
    for (const Opinion* opinion : {&by_llvm, &by_capstone}) {
        if (agrees(*opinion) && differences.same_mnemonic(opinion->mnemonic, decoded.mnemonic)) {
            decoded.text = opinion->text;
            return;
        }
    }
    // No witness knows it by this name. Operands printed for another name may be those of another instruction, so the
    // record's own example comes first.
    if (decoded.record != nullptr) {
        const auto& examples = decoded.record->examples;
        decoded.text = examples.empty() ? decoded.mnemonic : with_mnemonic(examples.front().text, decoded.mnemonic);
    } else if (agrees(by_llvm) || agrees(by_capstone)) {
        decoded.text = agrees(by_llvm) ? by_llvm.text : by_capstone.text;
    } else {
        decoded.text = decoded.mnemonic;
    }
}

Reconciler::Reconciler(const isa::Database& database, const isa::Profile& profile) : impl_(std::make_unique<Impl>(database, profile)) {}
Reconciler::~Reconciler() = default;

const InstructionDecoder& Reconciler::decoder() const { return impl_->decoder; }

Decoded Reconciler::decode(Bytes bytes, Mode mode, VirtAddr address) {
    const Structure structure = parse_structure(OpcodeMaps::generated(), bytes, mode);
    const Insn insn = impl_->decoder.decode(bytes, mode);
    const Opinion by_llvm = impl_->llvm->decode(bytes, mode, address);
    const Opinion by_capstone = impl_->capstone->decode(bytes, mode, address);

    Decoded decoded;
    decoded.valid = insn.length != 0;
    decoded.length = insn.length;
    decoded.form = insn.form;
    decoded.record = impl_->decoder.record(insn.form);
    decoded.mnemonic = impl_->decoder.mnemonic(insn.form);
    if (decoded.valid) {
        impl_->describe(decoded, by_llvm, by_capstone);
    } else {
        decoded.invalid_reason = impl_->explain_invalid(structure);
    }
    impl_->note(decoded, *impl_->llvm, by_llvm, structure);
    impl_->note(decoded, *impl_->capstone, by_capstone, structure);
    return decoded;
}

}  // namespace trapline::decode
