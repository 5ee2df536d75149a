// SPDX-License-Identifier: Apache-2.0
// Enumerates the grid and evaluates every guard in every state.
#include "classify/grid.h"

#include <algorithm>

namespace trapline::classify {

using isa::AtomIndex;

namespace {

AtomIndex required_atom(const isa::Database& database, std::string_view id) {
    const auto found = database.find_atom(id);
    TRAPLINE_ASSERT(found.has_value(), "atoms.json lacks an atom that the model itself needs");
    return *found;
}

// A data fault whose condition stands nowhere else only removes states that look like their neighbours: leaving it out
// keeps the grid small and changes no tag.
std::vector<AtomIndex> atoms_in_use(const isa::Record& record, const isa::Database& database) {
    std::vector<AtomIndex> used;
    const auto add = [&](const isa::Guard& guard) { used.insert(used.end(), guard.atoms().begin(), guard.atoms().end()); };
    for (const isa::Effect& effect : record.reads) add(effect.when);
    for (const isa::Effect& effect : record.writes) add(effect.when);
    for (const isa::Fault& fault : record.faults) {
        const bool only_data = std::all_of(fault.when.atoms().begin(), fault.when.atoms().end(),
                                           [&](AtomIndex atom) { return database.atoms[atom].axis == isa::Axis::data; });
        if (fault.cause != isa::FaultCause::data || !only_data) add(fault.when);
    }
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    return used;
}

}  // namespace

Grid::Grid(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode) {
    cpl_ = required_atom(database, "cpl");
    iopl_ = required_atom(database, "iopl");
    isa::Assignment values(database.atoms.size(), 0);
    std::vector<bool> pinned(database.atoms.size(), false);
    const auto pin = [&](AtomIndex atom, int value) {
        values[atom] = static_cast<std::uint8_t>(value);
        pinned[atom] = true;
    };
    for (const auto& [atom, value] : profile.fixed) pin(atom, value);
    pin(required_atom(database, "real"), mode == Mode::real16);
    pin(required_atom(database, "protected"), mode != Mode::real16);
    pin(required_atom(database, "long"), mode == Mode::long64);
    if (mode == Mode::real16) pin(cpl_, 0);  // SDM volume 3, 20.1: real-address mode has no privilege levels

    std::vector<AtomIndex> used = atoms_in_use(record, database);
    if (std::find(used.begin(), used.end(), cpl_) == used.end()) used.insert(std::lower_bound(used.begin(), used.end(), cpl_), cpl_);
    std::size_t count = 1;
    for (AtomIndex atom : used) {
        if (pinned[atom]) continue;
        axes_.push_back(atom);
        domains_.push_back(database.atoms[atom].domain);
        strides_.push_back(count);
        count *= static_cast<std::size_t>(database.atoms[atom].domain);
        TRAPLINE_ASSERT(count <= std::size_t{1} << 22, "a record mentions so many atoms that its grid is no longer finite in practice");
    }
    TRAPLINE_ASSERT(record.reads.size() <= 64 && record.writes.size() <= 64, "a record lists more than 64 effects of a kind");

    // Faults that need no data to apply and data faults that need some atom outside the grid are judged as absent.
    const auto relevant = [&](const isa::Fault& fault) {
        return fault.cause != isa::FaultCause::data ||
               (!fault.when.always() && std::all_of(fault.when.atoms().begin(), fault.when.atoms().end(), [&](AtomIndex atom) {
                   return pinned[atom] || std::find(axes_.begin(), axes_.end(), atom) != axes_.end();
               }));
    };
    states_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        State& state = states_[i];
        state.values = values;
        for (std::size_t axis = 0; axis < axes_.size(); ++axis)
            state.values[axes_[axis]] = static_cast<std::uint8_t>(i / strides_[axis] % static_cast<std::size_t>(domains_[axis]));
        // A missing feature outranks privilege, and both outrank the operands: the order of MODEL, not the CPU's.
        for (std::size_t f = 0; f < record.faults.size(); ++f) {
            const isa::Fault& fault = record.faults[f];
            if (!relevant(fault) || !fault.when.evaluate(state.values)) continue;
            const Outcome outcome = fault.cause == isa::FaultCause::feature     ? Outcome::feature_fault
                                    : fault.cause == isa::FaultCause::privilege ? Outcome::privilege_trap
                                                                                : Outcome::data_fault;
            const auto rank = [](Outcome o) { return o == Outcome::feature_fault ? 3 : o == Outcome::privilege_trap ? 2 : o == Outcome::data_fault ? 1 : 0; };
            if (rank(outcome) <= rank(state.outcome)) continue;
            state.outcome = outcome;
            state.fault = static_cast<int>(f);
        }
        if (state.outcome != Outcome::executes) continue;
        for (std::size_t e = 0; e < record.reads.size(); ++e)
            if (record.reads[e].when.evaluate(state.values)) state.reads |= std::uint64_t{1} << e;
        for (std::size_t e = 0; e < record.writes.size(); ++e)
            if (record.writes[e].when.evaluate(state.values)) state.writes |= std::uint64_t{1} << e;
    }
}

std::size_t Grid::position(AtomIndex atom) const {
    const auto found = std::lower_bound(axes_.begin(), axes_.end(), atom);
    TRAPLINE_ASSERT(found != axes_.end() && *found == atom, "asked for an atom that does not vary in this grid");
    return static_cast<std::size_t>(found - axes_.begin());
}

std::size_t Grid::neighbour(std::size_t index, AtomIndex atom, int value) const {
    const std::size_t axis = position(atom);
    const std::size_t current = index / strides_[axis] % static_cast<std::size_t>(domains_[axis]);
    return index + (static_cast<std::size_t>(value) - current) * strides_[axis];
}

}  // namespace trapline::classify
