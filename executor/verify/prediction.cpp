// SPDX-License-Identifier: Apache-2.0
// Evaluates the guards of faults over the unknown atoms.
#include "executor/verify/prediction.h"

#include <algorithm>

namespace trapline::executor {

namespace {

using isa::AtomIndex;
using isa::FaultCause;

constexpr std::size_t kMaxStates = 1u << 20;

std::vector<AtomIndex> atoms_of(const isa::Record& record) {
    std::vector<AtomIndex> out;
    for (const isa::Fault& fault : record.faults) out.insert(out.end(), fault.when.atoms().begin(), fault.when.atoms().end());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

/// Of the vectors a memory or stack access may raise a record names one (isa-specs/README.md).
bool names_memory(const isa::Database& database, const isa::Fault& fault) {
    return std::any_of(fault.when.atoms().begin(), fault.when.atoms().end(), [&](AtomIndex atom) {
        const std::string& id = database.atoms[atom].id;
        return id == "memory_fault" || id == "stack_fault";
    });
}

}  // namespace

Prediction predict(const isa::Database& database, const isa::Record& record, const PartialState& state) {
    Prediction out;
    out.atoms = atoms_of(record);
    out.may_execute = false;
    std::vector<AtomIndex> open;
    std::size_t count = 1;
    for (AtomIndex atom : out.atoms) {
        if (state.known[atom]) continue;
        open.push_back(atom);
        count *= static_cast<std::size_t>(database.atoms[atom].domain);
        TRAPLINE_ASSERT(count <= kMaxStates, "a record's faults hang on so many unknown atoms that they cannot be enumerated");
    }
    std::vector<bool> holds(record.faults.size());
    isa::Assignment values = state.values;
    for (std::size_t index = 0; index < count; ++index) {
        std::size_t rest = index;
        for (AtomIndex atom : open) {
            const auto domain = static_cast<std::size_t>(database.atoms[atom].domain);
            values[atom] = static_cast<std::uint8_t>(rest % domain);
            rest /= domain;
        }
        std::vector<std::size_t> active;
        bool forbidden = false;
        for (std::size_t f = 0; f < record.faults.size(); ++f) {
            if (!record.faults[f].when.evaluate(values)) continue;
            active.push_back(f);
            forbidden |= record.faults[f].cause != FaultCause::data;
        }
        out.may_execute |= active.empty();
        for (std::size_t f : active) {
            if (forbidden && record.faults[f].cause == FaultCause::data) continue;
            holds[f] = true;
        }
    }
    for (std::size_t f = 0; f < record.faults.size(); ++f)
        if (holds[f]) out.faults.push_back({record.faults[f].vector, record.faults[f].cause, names_memory(database, record.faults[f])});
    return out;
}

bool Prediction::hangs_on(const isa::Database& database, std::string_view atom) const {
    return std::any_of(atoms.begin(), atoms.end(), [&](AtomIndex index) { return database.atoms[index].id == atom; });
}

bool Prediction::allows(const Observation& observation) const {
    switch (observation.kind) {
        case OutcomeKind::executes:
        case OutcomeKind::transfers: return may_execute;
        case OutcomeKind::faults: break;
        case OutcomeKind::delivered:
        case OutcomeKind::host_call:
        case OutcomeKind::wants_more:
        case OutcomeKind::spoofed:
        case OutcomeKind::hangs:
        case OutcomeKind::ended: return false;
    }
    constexpr int kStack = 12, kGeneral = 13, kPage = 14;
    return std::any_of(faults.begin(), faults.end(), [&](const ExpectedFault& fault) {
        const int vector = observation.vector;
        if (fault.memory && (vector == kPage || ((vector == kStack || vector == kGeneral) && observation.error == 0))) return true;
        if (vector_number(fault.vector) != vector) return false;
        return fault.vector.find("(0)") == std::string::npos || observation.error == 0;
    });
}

bool Prediction::privileged_here() const {
    return !may_execute && !faults.empty() &&
           std::all_of(faults.begin(), faults.end(), [](const ExpectedFault& fault) { return fault.cause == FaultCause::privilege; });
}

std::string Prediction::text() const {
    std::string out = may_execute ? "executes" : "";
    for (const FaultCause cause : {FaultCause::privilege, FaultCause::feature, FaultCause::data}) {
        std::vector<std::string> vectors;
        for (const ExpectedFault& fault : faults)
            if (fault.cause == cause && std::find(vectors.begin(), vectors.end(), fault.vector) == vectors.end()) vectors.push_back(fault.vector);
        if (vectors.empty()) continue;
        if (!out.empty()) out += ", or ";
        for (const std::string& vector : vectors) out += vector + " ";
        out += cause == FaultCause::privilege ? "for privilege" : cause == FaultCause::feature ? "for a feature that is off" : "for its operands";
    }
    return out;
}

void fix_operands(const isa::Database& database, const isa::Record& record, std::span<const std::uint8_t> bytes, PartialState& state) {
    if (record.encoding.map != isa::OpcodeMap::one || bytes.empty()) return;
    constexpr std::uint8_t kInt3 = 0xCC, kIntImm = 0xCD, kInto = 0xCE;
    // Linux gives DPL 3 to the gates of #BP, #OF and the 32-bit system call alone (arch/x86/kernel/idt.c).
    constexpr int kBreakpoint = 3, kOverflow = 4, kSystemCall = 0x80;
    int vector = -1;
    switch (record.encoding.opcode) {
        case kInt3: vector = kBreakpoint; break;
        case kInto: vector = kOverflow; break;
        case kIntImm: vector = bytes.back(); break;
        default: return;
    }
    state.fix(database, "gate.dpl", vector == kBreakpoint || vector == kOverflow || vector == kSystemCall ? 3 : 0);
}

}  // namespace trapline::executor
