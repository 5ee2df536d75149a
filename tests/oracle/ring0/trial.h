// SPDX-License-Identifier: Apache-2.0
// One form in one mode: which cases show its derivation, and whether they did.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "case_builder.h"
#include "classify/derive.h"
#include "classify/grid.h"

namespace trapline::ring0 {

/// How the machine contradicts a derivation.
struct Contradiction {
    isa::Assignment state;
    std::string says;      ///< what the machine did, in words that tcg-differences.json repeats
    std::string expected;
    std::string place;     ///< the state and the bytes, for people
};

/// What became of one witness.
enum class WitnessFate : std::uint8_t { shown, contradicted, unobservable, unreachable };
struct WitnessReport {
    std::string tag;       ///< "privileged", "control", "mode", "location"
    WitnessFate fate = WitnessFate::unreachable;
    std::string why;       ///< for those that were not shown
};

/// Plans and judges the cases of a form. Cases are appended to one list for the whole mode and found by index.
class Trial {
public:
    /// `profiles`: whose grids give the states; the first is the one whose derivation is to be shown.
    Trial(const isa::Database& database, const isa::Record& record, const std::vector<const isa::Profile*>& profiles, Mode mode, const Setups& setups);

    /// Adds the cases to `cases`; false when no state can be reached, and `reason()` says why.
    bool plan(const CaseBuilder& builder, std::vector<Case>& cases);
    /// Judges what the machine made of them.
    void judge(const std::vector<Case>& cases, const std::vector<MachineResult>& results);

    const isa::Record& record() const { return record_; }
    const std::string& reason() const { return reason_; }
    std::size_t case_count() const { return case_count_; }
    const std::vector<Contradiction>& contradictions() const { return contradictions_; }
    const std::vector<WitnessReport>& witnesses() const { return witnesses_; }
    /// Effects on resources that can be seen: how many the record lists, and how many some case showed.
    std::size_t effects_listed() const { return effects_listed_; }
    std::size_t effects_shown() const { return effects_shown_; }
    const std::vector<std::string>& effects_not_shown() const { return effects_not_shown_; }

private:
    struct Planned {
        const classify::Grid* grid;
        std::size_t state;
        std::size_t index;      ///< in the list of cases
    };
    struct Pair {
        std::string tag, resource;   ///< the read that decides; empty when two states do
        std::size_t first = 0, second = 0;
        std::size_t first_state = 0, second_state = 0;
    };

    std::optional<std::size_t> add(const CaseBuilder& builder, const classify::Grid& grid, std::size_t state, std::string_view varied, std::vector<Case>& cases,
                                   bool others_set = false);
    void plan_states(const CaseBuilder& builder, std::vector<Case>& cases);
    void plan_read_pair(const CaseBuilder& builder, bool by_mode, std::size_t state, std::size_t read, std::vector<Case>& cases);
    void plan_state_pair(const CaseBuilder& builder, bool by_mode, classify::StatePair pair, std::vector<Case>& cases);
    std::vector<std::size_t> by_preference(std::size_t first) const;

    void judge_state(const Planned& planned, const Case& input, const MachineResult& result);
    void judge_silence(const std::vector<Case>& cases, const std::vector<MachineResult>& results);
    void judge_pair(const Pair& pair, const std::vector<Case>& cases, const std::vector<MachineResult>& results);
    void judge_privileged(const std::vector<MachineResult>& results);
    void judge_control(const std::vector<Case>& cases, const std::vector<MachineResult>& results);
    bool completed(const Case& input, const MachineResult& result) const;
    bool by_gate(const Case& input, const MachineResult& result) const;
    void contradict(const classify::Grid& grid, std::size_t state, std::string says, std::string expected);
    bool contradicted(const classify::Grid& grid, std::size_t state) const;
    std::string describe(const classify::Grid& grid, std::size_t state) const;
    const std::string& resource(const isa::Effect& effect) const { return database_.resources[effect.resource].id; }
    isa::ResourceKind kind(const isa::Effect& effect) const { return database_.resources[effect.resource].kind; }

    const isa::Database& database_;
    const isa::Record& record_;
    Mode mode_;
    const Setups& setups_;
    Setup setup_;
    std::vector<std::unique_ptr<classify::Grid>> grids_;
    classify::PrivilegeJudgement privilege_;
    classify::SensitivityJudgement sensitivity_;
    std::optional<Instruction> instruction_;
    std::vector<Planned> planned_;
    std::vector<Pair> pairs_;
    std::vector<WitnessReport> witnesses_;
    std::vector<Contradiction> contradictions_;
    std::vector<bool> shown_;  ///< by index in Record::writes
    std::vector<std::string> effects_not_shown_;
    std::string reason_;
    std::size_t case_count_ = 0, effects_listed_ = 0, effects_shown_ = 0;
};

}  // namespace trapline::ring0
