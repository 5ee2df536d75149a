// SPDX-License-Identifier: Apache-2.0
// The finite grid of states over which a form is judged: mode x CPL x IOPL x control bits x what its operands hold.
#pragma once

#include <vector>

#include "isa/database.h"

namespace trapline::classify {

/// What happens to the instruction in one state.
enum class Outcome : std::uint8_t {
    executes,       ///< no fault
    privilege_trap, ///< a fault for privilege
    feature_fault,  ///< #UD or the like at every level: the feature is off
    data_fault,     ///< operands or memory forbid it
};

struct State {
    isa::Assignment values;  ///< by AtomIndex; atoms outside Grid::axes() have their fixed value
    Outcome outcome = Outcome::executes;
    int fault = -1;                ///< index of the fault that applies; -1 when it executes
    std::uint64_t reads = 0;       ///< active reads, one bit for each entry of Record::reads
    std::uint64_t writes = 0;      ///< active writes, likewise
};

/// All states of one form in one mode under one profile. Only atoms that the form's guards mention vary, and cpl.
class Grid {
public:
    Grid(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode);

    const std::vector<State>& states() const { return states_; }
    /// Atoms that vary, in the order of the database.
    const std::vector<isa::AtomIndex>& axes() const { return axes_; }
    int cpl(const State& state) const { return state.values[cpl_]; }
    isa::AtomIndex cpl_atom() const { return cpl_; }
    isa::AtomIndex iopl_atom() const { return iopl_; }

    /// Gives the state that differs from `states()[index]` only in `atom`, which has `value` there.
    std::size_t neighbour(std::size_t index, isa::AtomIndex atom, int value) const;
    int domain(isa::AtomIndex atom) const { return domains_[position(atom)]; }

private:
    std::size_t position(isa::AtomIndex atom) const;

    std::vector<isa::AtomIndex> axes_;
    std::vector<int> domains_;          // by position in axes_
    std::vector<std::size_t> strides_;  // by position in axes_
    std::vector<State> states_;
    isa::AtomIndex cpl_ = 0;
    isa::AtomIndex iopl_ = 0;
};

}  // namespace trapline::classify
