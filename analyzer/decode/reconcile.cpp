// SPDX-License-Identifier: Apache-2.0
// The verdict on one instruction: the database's own knowledge first, the witnesses where it has none, and a note of
// every witness that differs.
#include <array>

#include <fmt/format.h>

#include "decode/decoder.h"
#include "decode/differences.h"
#include "decode/opcode_map.h"
#include "decode/structure.h"
#include "decode/witness_text.h"

namespace trapline::decode {
namespace {

/// What the opcode maps and the records know by themselves.
struct OwnJudgement {
    enum class Answer : std::uint8_t { valid, invalid, ask_witnesses } answer = Answer::ask_witnesses;
    const isa::Record* record = nullptr;
    /// With ask_witnesses: a record that matches but for mode, prefix or profile. If a witness calls the instruction by
    /// its name, the witness overlooks what the record says and the encoding is #UD.
    const isa::Record* near = nullptr;
    StructureStatus reason = StructureStatus::ok;  ///< when invalid
};

/// A witness's opinion after the known differences were applied.
struct Corrected {
    bool valid = false;
    int length = 0;
    bool known = false;  ///< a row of decoder-differences.json decided
};

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
        : database(database_), profile(profile_), maps(OpcodeMaps::embedded()), differences(DecoderDifferences::embedded()),
          llvm(make_llvm_witness()), capstone(make_capstone_witness()) {}

    OwnJudgement judge(const Structure& structure) const;
    Corrected correct(const Witness& witness, const Opinion& opinion, const Structure& structure) const;
    Corrected settle(const Structure& structure, const Opinion& by_llvm, const Opinion& by_capstone) const;
    bool overlooks(const OwnJudgement& own, const Opinion& opinion) const;
    void note(Decoded& decoded, const Witness& witness, const Opinion& opinion, const isa::EncodingKey& key) const;
    void describe(Decoded& decoded, const Opinion& by_llvm, const Opinion& by_capstone) const;

    const isa::Database& database;
    const isa::Profile& profile;
    const OpcodeMaps& maps;
    const DecoderDifferences& differences;
    std::unique_ptr<Witness> llvm;
    std::unique_ptr<Witness> capstone;
};

OwnJudgement Reconciler::Impl::judge(const Structure& structure) const {
    using Answer = OwnJudgement::Answer;
    OwnJudgement own;
    own.reason = structure.status;
    switch (structure.status) {
        case StructureStatus::truncated:
        case StructureStatus::too_long:
        case StructureStatus::prefix_before_vex:
        case StructureStatus::reserved_map:
        case StructureStatus::vex_in_real_mode:
        case StructureStatus::rex2_misplaced:
            own.answer = Answer::invalid;
            return own;
        // A record knows its own form better than the opcode maps do: newer forms, LOCK as an opcode bit (MOV CR8).
        case StructureStatus::ok:
        case StructureStatus::hole:
        case StructureStatus::not_in_mode:
        case StructureStatus::needs_memory:
        case StructureStatus::needs_register:
        case StructureStatus::prefix_undefined:
        case StructureStatus::lock_illegal:
            break;
    }
    own.record = database.match(structure.key, profile);
    if (own.record != nullptr) {
        own.answer = Answer::valid;
        if (structure.key.lock && !own.record->encoding.lock_allowed) {
            own = {.answer = Answer::invalid, .reason = StructureStatus::lock_illegal};
        }
        return own;
    }
    if (structure.status != StructureStatus::ok) own.answer = Answer::invalid;
    if (structure.status != StructureStatus::lock_illegal) own.near = find_near(database, structure.key);
    return own;
}

Corrected Reconciler::Impl::correct(const Witness& witness, const Opinion& opinion, const Structure& structure) const {
    Corrected out{opinion.valid, opinion.length, false};
    const bool other_length = opinion.valid && opinion.length != structure.length;
    const Difference* row = differences.find(witness.name(), structure.key,
                                             !opinion.valid ? Says::invalid : other_length ? Says::length : Says::valid,
                                             opinion.mnemonic);
    // A witness that accepts what is no instruction may also misjudge its length.
    if (row == nullptr && other_length) row = differences.find(witness.name(), structure.key, Says::valid, opinion.mnemonic);
    if (row == nullptr) return out;
    return {row->truly_valid, row->truly_valid ? structure.length : 0, true};
}

Corrected Reconciler::Impl::settle(const Structure& structure, const Opinion& by_llvm, const Opinion& by_capstone) const {
    const Corrected first = correct(*llvm, by_llvm, structure);
    if (first.known) return first;
    // LLVM is the newer decoder: its word stands unless Capstone's is known to be wrong here in a way that tells the truth.
    const Corrected second = correct(*capstone, by_capstone, structure);
    return second.known && second.valid != first.valid && by_capstone.valid == first.valid ? second : first;
}

bool Reconciler::Impl::overlooks(const OwnJudgement& own, const Opinion& opinion) const {
    return own.near != nullptr && opinion.valid && differences.same_mnemonic(opinion.mnemonic, own.near->mnemonic);
}

void Reconciler::Impl::note(Decoded& decoded, const Witness& witness, const Opinion& opinion, const isa::EncodingKey& key) const {
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
    const Difference* row = differences.find(witness.name(), key, says, opinion.mnemonic);
    decoded.disagreements.push_back({std::string(witness.name()), std::move(text), row != nullptr ? row->reason : std::string()});
}

void Reconciler::Impl::describe(Decoded& decoded, const Opinion& by_llvm, const Opinion& by_capstone) const {
    const auto agrees = [&](const Opinion& opinion) { return opinion.valid && opinion.length == decoded.length; };
    const bool llvm_agrees = agrees(by_llvm), capstone_agrees = agrees(by_capstone);
    if (decoded.record != nullptr) {
        decoded.mnemonic = decoded.record->mnemonic;
    } else if (llvm_agrees) {
        decoded.mnemonic = by_llvm.mnemonic;
    } else if (capstone_agrees) {
        decoded.mnemonic = by_capstone.mnemonic;
    } else {
        decoded.mnemonic = by_llvm.valid ? by_llvm.mnemonic : by_capstone.mnemonic;
    }
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
    } else if (llvm_agrees || capstone_agrees) {
        decoded.text = llvm_agrees ? by_llvm.text : by_capstone.text;
    } else {
        decoded.text = decoded.mnemonic;
    }
}

Reconciler::Reconciler(const isa::Database& database, const isa::Profile& profile) : impl_(std::make_unique<Impl>(database, profile)) {}
Reconciler::~Reconciler() = default;

Decoded Reconciler::decode(Bytes bytes, Mode mode, VirtAddr address) {
    using Answer = OwnJudgement::Answer;
    const Structure structure = parse_structure(impl_->maps, bytes, mode);
    const OwnJudgement own = impl_->judge(structure);
    const Opinion by_llvm = impl_->llvm->decode(bytes, mode, address);
    const Opinion by_capstone = impl_->capstone->decode(bytes, mode, address);

    Decoded decoded;
    switch (own.answer) {
        case Answer::valid:
            decoded.valid = true;
            decoded.length = structure.length;
            decoded.record = own.record;
            break;
        case Answer::invalid:
            decoded.invalid_reason = own.near != nullptr ? explain_near(*own.near, structure.key, impl_->profile)
                                                         : std::string(to_string(own.reason));
            break;
        case Answer::ask_witnesses:
            if (impl_->overlooks(own, by_llvm)) {
                decoded.invalid_reason = explain_near(*own.near, structure.key, impl_->profile);
                break;
            }
            const Corrected settled = impl_->settle(structure, by_llvm, by_capstone);
            decoded.valid = settled.valid;
            decoded.length = settled.length;
            if (!settled.valid) decoded.invalid_reason = "no decoder knows an instruction with this encoding";
            break;
    }
    if (decoded.valid) impl_->describe(decoded, by_llvm, by_capstone);
    impl_->note(decoded, *impl_->llvm, by_llvm, structure.key);
    impl_->note(decoded, *impl_->capstone, by_capstone, structure.key);
    return decoded;
}

Reconciler::Brief Reconciler::brief(Bytes bytes, Mode mode) {
    using Answer = OwnJudgement::Answer;
    const Structure structure = parse_structure(impl_->maps, bytes, mode);
    const OwnJudgement own = impl_->judge(structure);
    switch (own.answer) {
        case Answer::valid: return {structure.length, own.record};
        case Answer::invalid: return {};
        case Answer::ask_witnesses: break;
    }
    // Nearly every innocuous instruction ends here: LLVM confirms the length and nothing is known against it.
    const int confirmed = impl_->llvm->length(bytes, mode);
    const bool plain_case = own.near == nullptr && !impl_->differences.mentions(structure.key.map, structure.key.opcode);
    if (plain_case && confirmed == structure.length) return {confirmed, nullptr};

    const Opinion by_llvm = impl_->llvm->decode(bytes, mode, VirtAddr{});
    if (impl_->overlooks(own, by_llvm)) return {};
    const Opinion by_capstone = impl_->capstone->decode(bytes, mode, VirtAddr{});
    return {impl_->settle(structure, by_llvm, by_capstone).length, nullptr};
}

}  // namespace trapline::decode
