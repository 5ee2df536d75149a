// SPDX-License-Identifier: Apache-2.0
// What a record's guards say an instruction does in a state of which part is known. Pure: no host is asked.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "executor/host/observation.h"
#include "executor/verify/host_state.h"
#include "isa/database.h"

namespace trapline::executor {

/// One exception that may be raised.
struct ExpectedFault {
    std::string vector;  ///< as the record spells it: "#GP(0)", "#GP(selector)"
    isa::FaultCause cause = isa::FaultCause::data;
    bool memory = false;  ///< stands for any fault of a memory or stack access
};

struct Prediction {
    bool may_execute = true;            ///< some state that agrees with what is known executes
    std::vector<ExpectedFault> faults;  ///< those that may be raised; where privilege or a feature forbids it in every
                                        ///< state, only such
    bool hangs_on(const isa::Database& database, std::string_view atom) const;
    std::vector<isa::AtomIndex> atoms;  ///< that the faults' guards mention

    /// Says whether an outcome agrees. `transfers` counts as execution, as does a stopped host call only where a row of
    /// differences says so.
    bool allows(const Observation& observation) const;
    /// Renders it for people: "executes, or #GP(0) #PF for its operands", "#GP(0) for privilege".
    std::string text() const;
    /// Says whether it must fault, whatever the operands, because of the level of privilege.
    bool privileged_here() const;
};

/// Evaluates every fault's guard in every state that agrees with `state`; atoms that are not known take all values.
Prediction predict(const isa::Database& database, const isa::Record& record, const PartialState& state);

/// Fixes what the bytes themselves decide on Linux: the DPL of the gate that INT n, INT3 and INTO name.
void fix_operands(const isa::Database& database, const isa::Record& record, std::span<const std::uint8_t> bytes, PartialState& state);

}  // namespace trapline::executor
