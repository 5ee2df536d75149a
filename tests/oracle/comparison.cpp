// SPDX-License-Identifier: Apache-2.0
// See comparison.h. Text is asked of a peer only where names are compared or a class is new: it costs more than all else.
#include "tests/oracle/comparison.h"

#include <algorithm>

#include <fmt/format.h>

#include "tests/oracle/zydis_witness.h"

namespace trapline::oracle {
namespace {

using decode::Insn;
using decode::Opinion;
using decode::Says;
using decode::Structure;

constexpr std::string_view kSpaces[] = {"", " rex2", " vex2", " vex3", "", " xop"};

/// Names the place of an instruction in the maps, with the fields that select a form there.
std::string place(const Structure& structure) {
    const isa::EncodingKey& key = structure.key;
    std::string text = fmt::format("{} {:02X}{}", isa::to_string(key.map), key.opcode, kSpaces[static_cast<std::size_t>(structure.space)]);
    switch (key.prefix) {
        case isa::PrefixSet::np: break;
        case isa::PrefixSet::p66: text += " 66"; break;
        case isa::PrefixSet::f3: text += " f3"; break;
        case isa::PrefixSet::f2: text += " f2"; break;
    }
    if (isa::is_vector_map(key.map)) text += fmt::format(" L{}", key.l);
    if (key.has_modrm) {
        const bool group = structure.slot != nullptr && structure.slot->reg_field != decode::RegField::reg;
        text += group ? fmt::format(" /{} {}", key.reg & 7, key.mod == 3 ? "reg" : "mem") : key.mod == 3 ? " reg" : " mem";
    }
    if (const std::string conditions = decode::describe_conditions(decode::conditions_of(structure)); !conditions.empty()) text += " (" + conditions + ")";
    return text;
}

}  // namespace

void DifferenceClass::note(std::uint64_t times, const DifferenceClass& other) {
    if (count == 0) {
        mode = other.mode;
        bytes = other.bytes;
        text = other.text;
        ours = other.ours;
    }
    count += times;
}

std::uint64_t Tally::unexplained_count() const {
    std::uint64_t sum = 0;
    for (const auto& [key, entry] : unexplained) sum += entry.count;
    return sum;
}

void Tally::add(const Tally& other) {
    instructions += other.instructions;
    valid += other.valid;
    bytes += other.bytes;
    differing += other.differing;
    rows.resize(std::max(rows.size(), other.rows.size()));
    for (std::size_t i = 0; i < other.rows.size(); ++i) rows[i].note(other.rows[i].count, other.rows[i]);
    for (const auto& [key, entry] : other.unexplained) unexplained[key].note(entry.count, entry);
}

Comparison::Comparison(const decode::InstructionDecoder& decoder) : decoder_(decoder), differences_(decode::DecoderDifferences::embedded()) {
    witnesses_.push_back(decode::make_llvm_witness());
    witnesses_.push_back(decode::make_capstone_witness());
    witnesses_.push_back(make_zydis_witness());
    tally_.rows.resize(differences_.rows().size());
}

int Comparison::check(Bytes bytes, Mode mode, Compare compare) {
    return check(bytes, mode, decoder_.decode(bytes, mode), compare);
}

int Comparison::check(Bytes bytes, Mode mode, Insn insn, Compare compare) {
    const Structure structure = decode::parse_structure(decode::OpcodeMaps::generated(), bytes, mode);
    const Insn full = decoder_.decode_full(bytes, mode);
    int unexplained = 0;
    if (full.length != insn.length || full.form != insn.form) {
        note_unexplained(fmt::format("pages     {} say {} of {} bytes, the full decoder {} of {}", place(structure), decoder_.mnemonic(insn.form), insn.length,
                                     decoder_.mnemonic(full.form), full.length),
                         bytes, mode, {}, structure, full);
        ++unexplained;
    }
    bool differs = false;
    for (const auto& witness : witnesses_) {
        const Verdict verdict = check_witness(*witness, bytes, structure, full, compare);
        differs |= verdict != Verdict::agrees;
        unexplained += verdict == Verdict::unexplained;
    }
    tally_.differing += differs;
    ++tally_.instructions;
    if (full.length != 0) {
        ++tally_.valid;
        tally_.bytes += full.length;
    }
    return unexplained;
}

Comparison::Verdict Comparison::check_witness(decode::Witness& witness, Bytes bytes, const Structure& structure, Insn insn, Compare compare) {
    const Mode mode = structure.key.mode;
    Opinion opinion;
    const bool names = compare == Compare::lengths_and_names;
    if (names)
        opinion = witness.decode(bytes, mode, VirtAddr{});
    else
        opinion.length = witness.length(bytes, mode);
    const int ours = insn.length, theirs = opinion.length;
    Says says = Says::mnemonic;
    if (ours == theirs) {
        if (ours == 0 || !names || differences_.same_mnemonic(opinion.mnemonic, decoder_.mnemonic(insn.form))) return Verdict::agrees;
    } else {
        says = theirs == 0 ? Says::invalid : ours == 0 ? Says::valid : Says::length;
    }
    const decode::Difference* row = differences_.find(witness.name(), structure, says, opinion.mnemonic);
    // Whoever takes an instruction for longer than it is rejects it where it then ends too far on.
    constexpr std::size_t kMore = 4;
    if (row == nullptr && says == Says::invalid && static_cast<std::size_t>(ours) + kMore > std::min<std::size_t>(bytes.size(), decode::kMaxInstructionLength))
        row = differences_.find(witness.name(), structure, Says::length, {});
    DifferenceClass* counted = row == nullptr ? nullptr : &tally_.rows[static_cast<std::size_t>(row - differences_.rows().data())];
    if (counted != nullptr && counted->count != 0) {
        ++counted->count;
        return Verdict::explained;
    }
    if (!names) opinion = witness.decode(bytes, mode, VirtAddr{});
    if (counted == nullptr) {
        note_unexplained(fmt::format("{:<9} {:<3} {:<34} ours {} {}, theirs {} {}", witness.name(), to_string(mode), place(structure), ours,
                                     ours != 0 ? decoder_.mnemonic(insn.form) : to_string(structure.status), theirs, opinion.mnemonic),
                         bytes, mode, std::move(opinion.text), structure, insn);
        return Verdict::unexplained;
    }
    *counted = example(bytes, mode, std::move(opinion.text), structure, insn);
    return Verdict::explained;
}

void Comparison::note_unexplained(std::string key, Bytes bytes, Mode mode, std::string text, const Structure& structure, Insn insn) {
    DifferenceClass& entry = tally_.unexplained[std::move(key)];
    if (entry.count != 0)
        ++entry.count;
    else
        entry = example(bytes, mode, std::move(text), structure, insn);
}

/// Makes a class of its first instruction.
DifferenceClass Comparison::example(Bytes bytes, Mode mode, std::string text, const Structure& structure, Insn insn) const {
    return {1, std::string(to_string(mode)), to_hex(bytes.first(std::min<std::size_t>(bytes.size(), decode::kMaxInstructionLength))), std::move(text),
            std::string(insn.length != 0 ? decoder_.mnemonic(insn.form) : to_string(structure.status))};
}

}  // namespace trapline::oracle
