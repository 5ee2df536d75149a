// SPDX-License-Identifier: Apache-2.0
// The verdict on one instruction: the database's own knowledge first, the witnesses where it has none, and a note of
// every witness that differs.
#include <fmt/format.h>

#include "decode/decoder.h"
#include "decode/differences.h"
#include "decode/opcode_map.h"
#include "decode/structure.h"
#include "decode/witness_text.h"

namespace trapline::decode {
namespace {

/// Stands for the mnemonic of an instruction that is defined but that no decoder here can name.
constexpr const char* kUnnamed = "(unnamed)";

/// What the opcode maps and the records know by themselves.
struct OwnJudgement {
    enum class Answer : std::uint8_t { valid, invalid, ask_witnesses } answer = Answer::ask_witnesses;
    const isa::Record* record = nullptr;
    /// Some record would match but for mode, prefix or profile (find_near). If LLVM calls the instruction by that
    /// record's name, LLVM overlooks what the record says and the encoding is #UD.
    bool has_near = false;
    /// A record matches, but its form does not exist under the profile (a later or dropped one, another vendor's).
    const isa::Record* foreign = nullptr;
    std::uint8_t length = 0;                       ///< when valid
    StructureStatus reason = StructureStatus::ok;  ///< when invalid
};

/// What holds where neither maps nor records decide.
struct Settled {
    bool valid = false;
    int length = 0;
    const Difference* row = nullptr;  ///< the row that corrected LLVM, if one did
};

/// Finds a record that would match with any mandatory prefix, in any mode, in any generation and of any vendor, and
/// that `accepts`.
template <class Accepts>
const isa::Record* find_near(const isa::Database& database, const isa::EncodingKey& key, Accepts accepts) {
    for (isa::RecordIndex index : database.slot(key.map, key.opcode)) {
        const isa::Record& record = database.records[index];
        if (record.encoding.requires_lock || !accepts(record)) continue;
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
        : database(database_), profile(profile_), maps(OpcodeMaps::generated()), differences(DecoderDifferences::embedded()),
          llvm(make_llvm_witness()), capstone(make_capstone_witness()) {}

    OwnJudgement judge(const Structure& structure, Bytes bytes) const;
    const isa::Record* match_pop_cs(const Structure& structure, Bytes bytes) const;
    Settled settle(const Structure& structure, const Opinion& by_llvm, Bytes bytes) const;
    const isa::Record* overlooked(const isa::EncodingKey& key, const Opinion& by_llvm) const;
    std::string explain_invalid(const OwnJudgement& own, const isa::EncodingKey& key) const;
    void note(Decoded& decoded, const Witness& witness, const Opinion& opinion, const Structure& structure) const;
    void describe(Decoded& decoded, const Settled& settled, const Opinion& by_llvm, const Opinion& by_capstone) const;

    const isa::Database& database;
    const isa::Profile& profile;
    const OpcodeMaps& maps;
    const DecoderDifferences& differences;
    std::unique_ptr<Witness> llvm;
    std::unique_ptr<Witness> capstone;
};

/// On the 8086 the byte 0F is POP CS and leads to no other map; the opcode maps know only what came later.
const isa::Record* Reconciler::Impl::match_pop_cs(const Structure& structure, Bytes bytes) const {
    constexpr std::uint8_t kEscape = 0x0F;
    if (structure.prefix_size >= bytes.size() || bytes[structure.prefix_size] != kEscape) return nullptr;
    isa::EncodingKey key = structure.key;
    key.map = isa::OpcodeMap::one;
    key.opcode = kEscape;
    key.has_modrm = false;
    return database.match(key, profile);
}

OwnJudgement Reconciler::Impl::judge(const Structure& structure, Bytes bytes) const {
    using Answer = OwnJudgement::Answer;
    OwnJudgement own;
    own.reason = structure.status;
    own.length = structure.length;
    if (profile.era == isa::Era::i8086) {
        if (const isa::Record* pop_cs = match_pop_cs(structure, bytes)) {
            own.answer = Answer::valid;
            own.record = pop_cs;
            own.length = static_cast<std::uint8_t>(structure.prefix_size + 1);
            return own;
        }
    }
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
        // A record that needs LOCK knows more than the maps; one that allows it leaves the operand's kind to them.
        const isa::Encoding& encoding = own.record->encoding;
        const bool lock_is_legal = encoding.requires_lock || (encoding.lock_allowed && structure.status != StructureStatus::lock_illegal);
        if (structure.key.lock && !lock_is_legal) {
            own = OwnJudgement{.answer = Answer::invalid, .reason = StructureStatus::lock_illegal};
        }
        return own;
    }
    if (structure.status != StructureStatus::ok) own.answer = Answer::invalid;
    for (isa::RecordIndex index : database.slot(structure.key.map, structure.key.opcode)) {
        const isa::Record& record = database.records[index];
        if (!isa::exists_in(record, profile) && isa::matches(record.encoding, structure.key)) own.foreign = &record;
    }
    own.has_near = find_near(database, structure.key, [](const isa::Record&) { return true; }) != nullptr;
    return own;
}

/// LLVM's word stands unless a row corrects it. Where its length is not ours, or its tables fail on prefixes whatever
/// the opcode is (rows without a map), Capstone has to agree with our length.
Settled Reconciler::Impl::settle(const Structure& structure, const Opinion& by_llvm, Bytes bytes) const {
    const Settled as_said{by_llvm.valid, by_llvm.length, nullptr};
    const bool other_length = by_llvm.valid && by_llvm.length != structure.length;
    const Says says = !by_llvm.valid ? Says::invalid : other_length ? Says::length : Says::valid;
    const Difference* row = differences.find(llvm->name(), structure, says, by_llvm.mnemonic);
    const bool outvoted = other_length || (row != nullptr && row->truly_valid && !row->has_map);
    if (outvoted && (row == nullptr || !row->has_map)) {
        if (capstone->length(bytes, structure.key.mode) != structure.length) return as_said;
        return {true, structure.length, row};
    }
    if (row == nullptr || !row->has_map) return as_said;
    return {row->truly_valid, row->truly_valid ? structure.length : 0, row};
}

const isa::Record* Reconciler::Impl::overlooked(const isa::EncodingKey& key, const Opinion& by_llvm) const {
    if (!by_llvm.valid) return nullptr;
    return find_near(database, key, [&](const isa::Record& record) { return differences.same_mnemonic(by_llvm.mnemonic, record.mnemonic); });
}

std::string Reconciler::Impl::explain_invalid(const OwnJudgement& own, const isa::EncodingKey& key) const {
    // A name says more than "not in this mode"; LOCK is the fault of the prefix, not of the form.
    if (own.foreign != nullptr) return explain_near(*own.foreign, key, profile);
    if (own.has_near && own.reason != StructureStatus::lock_illegal) {
        const isa::Record* near = find_near(database, key, [](const isa::Record&) { return true; });
        return explain_near(*near, key, profile);
    }
    return std::string(to_string(own.reason));
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

void Reconciler::Impl::describe(Decoded& decoded, const Settled& settled, const Opinion& by_llvm, const Opinion& by_capstone) const {
    const auto agrees = [&](const Opinion& opinion) { return opinion.valid && opinion.length == decoded.length; };
    const bool llvm_agrees = agrees(by_llvm), capstone_agrees = agrees(by_capstone);
    // A row's truth is a mnemonic unless it is "valid" or speaks of several.
    const bool row_names = settled.row != nullptr && settled.row->truth != "valid" && settled.row->truth.find(' ') == std::string::npos;
    if (decoded.record != nullptr) {
        decoded.mnemonic = decoded.record->mnemonic;
    } else if (llvm_agrees) {
        decoded.mnemonic = by_llvm.mnemonic;
    } else if (row_names) {
        decoded.mnemonic = settled.row->truth;
    } else if (capstone_agrees) {
        decoded.mnemonic = by_capstone.mnemonic;
    } else {
        decoded.mnemonic = by_llvm.valid ? by_llvm.mnemonic : kUnnamed;
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
    const OwnJudgement own = impl_->judge(structure, bytes);
    const Opinion by_llvm = impl_->llvm->decode(bytes, mode, address);
    const Opinion by_capstone = impl_->capstone->decode(bytes, mode, address);

    Decoded decoded;
    Settled settled;
    switch (own.answer) {
        case Answer::valid:
            decoded.valid = true;
            decoded.length = own.length;
            decoded.record = own.record;
            break;
        case Answer::invalid:
            decoded.invalid_reason = impl_->explain_invalid(own, structure.key);
            break;
        case Answer::ask_witnesses:
            if (const isa::Record* near = own.has_near ? impl_->overlooked(structure.key, by_llvm) : nullptr) {
                decoded.invalid_reason = explain_near(*near, structure.key, impl_->profile);
                break;
            }
            if (own.foreign != nullptr && !by_llvm.valid) {
                decoded.invalid_reason = explain_near(*own.foreign, structure.key, impl_->profile);
                break;
            }
            settled = impl_->settle(structure, by_llvm, bytes);
            decoded.valid = settled.valid;
            decoded.length = settled.length;
            if (!settled.valid) decoded.invalid_reason = "no decoder knows an instruction with this encoding";
            break;
    }
    if (decoded.valid) impl_->describe(decoded, settled, by_llvm, by_capstone);
    impl_->note(decoded, *impl_->llvm, by_llvm, structure);
    impl_->note(decoded, *impl_->capstone, by_capstone, structure);
    return decoded;
}

Reconciler::Brief Reconciler::brief(Bytes bytes, Mode mode) {
    using Answer = OwnJudgement::Answer;
    const Structure structure = parse_structure(impl_->maps, bytes, mode);
    const OwnJudgement own = impl_->judge(structure, bytes);
    switch (own.answer) {
        case Answer::valid: return {own.length, own.record};
        case Answer::invalid: return {};
        case Answer::ask_witnesses: break;
    }
    // Nearly every innocuous instruction ends here: LLVM confirms the length and nothing is known against it.
    const bool plain_case = own.foreign == nullptr && !own.has_near && !impl_->differences.corrects_llvm(structure.key.map, structure.key.opcode);
    if (plain_case && impl_->llvm->length(bytes, mode) == structure.length) return {structure.length, nullptr};

    const Opinion by_llvm = impl_->llvm->decode(bytes, mode, VirtAddr{});
    if (own.has_near && impl_->overlooked(structure.key, by_llvm) != nullptr) return {};
    if (own.foreign != nullptr && !by_llvm.valid) return {};
    return {impl_->settle(structure, by_llvm, bytes).length, nullptr};
}

}  // namespace trapline::decode
