// SPDX-License-Identifier: Apache-2.0
// The derivation itself, shared by derive() and explain(): each judgement names the states that show it.
#pragma once

#include <optional>
#include <utility>

#include "classify/grid.h"
#include "classify/tags.h"

namespace trapline::classify {

/// Two states of the grid, by index, that together show something.
using StatePair = std::pair<std::size_t, std::size_t>;

struct PrivilegeJudgement {
    Privileged privileged = Privileged::no;
    std::string token;
    bool vmm_sets_token = false;
    std::optional<StatePair> states;  ///< one that traps (or exits), one that executes
    std::string why;
};
struct SensitivityJudgement {
    std::optional<std::size_t> control;     ///< state in which a write hits what a VMM owns
    std::size_t control_write = 0;          ///< index in Record::writes
    std::optional<StatePair> location;      ///< the pair; both the same state when a read decides
    std::optional<std::size_t> location_read;
    std::optional<StatePair> mode;
    std::optional<std::size_t> mode_read;
    bool user = false;                      ///< also from a state at the deprivileged CPL
};

PrivilegeJudgement judge_privilege(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode, const Grid& grid);
SensitivityJudgement judge_sensitivity(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, const Grid& grid);

/// Combines both judgements, and applies the record's overrides.
Tags combine(const isa::Record& record, const Grid& grid, const PrivilegeJudgement& privilege, const SensitivityJudgement& sensitivity);

}  // namespace trapline::classify
