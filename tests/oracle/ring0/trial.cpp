// SPDX-License-Identifier: Apache-2.0
// The cases of one form, from the states that the derivation names and the rest of its grid.
#include "trial.h"

#include <algorithm>

#include <fmt/format.h>

#include "observe.h"
#include "support/bytes.h"

namespace trapline::ring0 {

using classify::Grid;
using classify::Outcome;
using classify::State;

namespace {

// Grids of far transfers have tens of thousands of states; so many of each are run, evenly spread.
constexpr std::size_t kStatesOfAGrid = 96;

bool is_fault_error(std::string_view expected, std::uint64_t code) {
    if (expected.ends_with("(0)")) return code == 0;
    if (expected.ends_with("(selector)")) return (code & 0xFFFC) != 0 && (code >> 16) == 0;
    return true;
}

}  // namespace

Trial::Trial(const isa::Database& database, const isa::Record& record, const std::vector<const isa::Profile*>& profiles, Mode mode, const Setups& setups)
    : database_(database), record_(record), mode_(mode), setups_(setups), setup_(setups.of(record.id)) {
    for (const isa::Profile* profile : profiles) grids_.push_back(std::make_unique<Grid>(database, record, *profile, mode));
    privilege_ = classify::judge_privilege(database, record, *profiles.front(), mode, *grids_.front());
    sensitivity_ = classify::judge_sensitivity(database, record, *profiles.front(), *grids_.front());
    shown_.resize(record.writes.size());
}

std::optional<std::size_t> Trial::add(const CaseBuilder& builder, const Grid& grid, std::size_t state, std::string_view varied, std::vector<Case>& cases,
                                      bool others_set) {
    auto built = builder.build(record_, *instruction_, setup_, grid.states()[state].values, varied, others_set);
    if (!built) {
        if (reason_.empty() && varied.empty()) reason_ = "no case has " + built.error().message + " set";
        return std::nullopt;
    }
    cases.push_back(std::move(*built));
    ++case_count_;
    return cases.size() - 1;
}

// All states at CPL 0 and 3, the first of each kind of outcome before the rest, and those again with the control bits that
// the record does not know of.
void Trial::plan_states(const CaseBuilder& builder, std::vector<Case>& cases) {
    for (const auto& grid : grids_) {
        std::vector<std::size_t> wanted;
        for (std::size_t i = 0; i < grid->states().size(); ++i) {
            const State& state = grid->states()[i];
            const int cpl = grid->cpl(state), iopl = state.values[grid->iopl_atom()];
            if ((cpl == 0 || cpl == 3) && (iopl == 0 || iopl == 3) && builder.build(record_, *instruction_, setup_, state.values)) wanted.push_back(i);
        }
        const std::size_t step = wanted.size() / kStatesOfAGrid + 1;
        std::vector<std::pair<Outcome, int>> seen;
        for (std::size_t k = 0; k < wanted.size(); ++k) {
            const State& state = grid->states()[wanted[k]];
            const std::pair key{state.outcome, state.fault * 4 + grid->cpl(state)};
            const bool first = std::find(seen.begin(), seen.end(), key) == seen.end();
            if (first) seen.push_back(key);
            if (!first && k % step != 0) continue;
            if (const auto index = add(builder, *grid, wanted[k], {}, cases)) planned_.push_back({grid.get(), wanted[k], *index});
            if (!first) continue;
            if (const auto index = add(builder, *grid, wanted[k], {}, cases, /*others_set=*/true)) planned_.push_back({grid.get(), wanted[k], *index});
        }
    }
}

// The derivation's own state first, then those at CPL 0 and 3, then any.
std::vector<std::size_t> Trial::by_preference(std::size_t first) const {
    const Grid& grid = *grids_.front();
    std::vector<std::size_t> order = {first};
    for (const bool outer : {true, false})
        for (std::size_t i = 0; i < grid.states().size(); ++i) {
            const int cpl = grid.cpl(grid.states()[i]);
            if ((cpl == 0 || cpl == 3) == outer && i != first && order.size() < 4096) order.push_back(i);
        }
    return order;
}

void Trial::plan_read_pair(const CaseBuilder& builder, bool by_mode, std::size_t state, std::size_t read, std::vector<Case>& cases) {
    const Grid& grid = *grids_.front();
    const std::string tag = by_mode ? "mode" : "location";
    std::vector<std::size_t> reads = {read};
    for (std::size_t e = 0; e < record_.reads.size(); ++e) {
        const isa::ResourceKind of = kind(record_.reads[e]);
        if (e != read && of != isa::ResourceKind::user && (of == isa::ResourceKind::mode) == by_mode) reads.push_back(e);
    }
    std::string why;
    for (const std::size_t e : reads) {
        const std::string& name = resource(record_.reads[e]);
        for (const std::size_t i : by_preference(state)) {
            const State& candidate = grid.states()[i];
            if (candidate.outcome != Outcome::executes || (candidate.reads >> e & 1) == 0) continue;
            if (!builder.build(record_, *instruction_, setup_, candidate.values)) continue;
            if (name == "cpl") {
                const std::size_t other = grid.neighbour(i, grid.cpl_atom(), grid.cpl(candidate) == 0 ? 3 : 0);
                if (grid.states()[other].outcome != Outcome::executes || !builder.build(record_, *instruction_, setup_, grid.states()[other].values)) continue;
                const auto first = add(builder, grid, i, {}, cases), second = add(builder, grid, other, {}, cases);
                pairs_.push_back({tag, name, *first, *second, i, other});
                return;
            }
            if (!builder.build(record_, *instruction_, setup_, candidate.values, name)) {
                why = setups_.why_unobservable(name).value_or(name + " has one content here");
                break;
            }
            const auto first = add(builder, grid, i, {}, cases), second = add(builder, grid, i, name, cases);
            pairs_.push_back({tag, name, *first, *second, i, i});
            return;
        }
    }
    if (why.empty()) witnesses_.push_back({tag, WitnessFate::unreachable, reason_.empty() ? "no state in which it reads it can be reached" : reason_});
    else witnesses_.push_back({tag, WitnessFate::unobservable, why});
}

void Trial::plan_state_pair(const CaseBuilder& builder, bool by_mode, classify::StatePair pair, std::vector<Case>& cases) {
    const Grid& grid = *grids_.front();
    const std::string tag = by_mode ? "mode" : "location";
    std::vector<classify::StatePair> candidates;
    for (const std::size_t i : by_preference(pair.first))
        for (const isa::AtomIndex atom : grid.axes()) {
            const bool mode_atom = atom == grid.cpl_atom() || atom == grid.iopl_atom();
            if (by_mode ? !mode_atom : database_.atoms[atom].axis != isa::Axis::control) continue;
            for (int value = grid.domain(atom) - 1; value >= 0; --value) candidates.emplace_back(i, grid.neighbour(i, atom, value));
        }
    candidates.push_back(pair);
    for (const auto& [a, b] : candidates) {
        const State &first = grid.states()[a], &second = grid.states()[b];
        if (first.outcome != Outcome::executes || second.outcome != Outcome::executes || (first.reads == second.reads && first.writes == second.writes)) continue;
        const auto first_case = add(builder, grid, a, {}, cases);
        if (!first_case) continue;
        const auto second_case = add(builder, grid, b, {}, cases);
        if (!second_case) continue;
        pairs_.push_back({tag, "", *first_case, *second_case, a, b});
        return;
    }
    witnesses_.push_back({tag, WitnessFate::unreachable, reason_});
}

bool Trial::plan(const CaseBuilder& builder, std::vector<Case>& cases) {
    instruction_ = pick_instruction(record_, mode_, setup_);
    if (!instruction_) {
        reason_ = "no example has operands that can be pointed to in this mode";
        return false;
    }
    plan_states(builder, cases);
    const bool executes = std::any_of(planned_.begin(), planned_.end(), [](const Planned& p) { return p.grid->states()[p.state].outcome == Outcome::executes; });
    if (planned_.empty() || !executes) {
        if (reason_.empty()) reason_ = "no state in which it executes can be reached";
        return false;
    }
    if (sensitivity_.mode_read) plan_read_pair(builder, true, sensitivity_.mode->first, *sensitivity_.mode_read, cases);
    else if (sensitivity_.mode) plan_state_pair(builder, true, *sensitivity_.mode, cases);
    if (sensitivity_.location_read) plan_read_pair(builder, false, sensitivity_.location->first, *sensitivity_.location_read, cases);
    else if (sensitivity_.location) plan_state_pair(builder, false, *sensitivity_.location, cases);
    return true;
}

std::string Trial::describe(const Grid& grid, std::size_t state) const {
    std::string text;
    for (const isa::AtomIndex atom : grid.axes()) text += fmt::format("{}{}={}", text.empty() ? "" : " ", database_.atoms[atom].id, grid.states()[state].values[atom]);
    return fmt::format("[{}] {} ({})", text, to_hex(instruction_->bytes), instruction_->text);
}

void Trial::contradict(const Grid& grid, std::size_t state, std::string says, std::string expected) {
    contradictions_.push_back({grid.states()[state].values, std::move(says), std::move(expected), describe(grid, state)});
}

bool Trial::contradicted(const Grid& grid, std::size_t state) const {
    return std::any_of(contradictions_.begin(), contradictions_.end(), [&](const Contradiction& c) { return c.state == grid.states()[state].values; });
}

bool Trial::completed(const Case& input, const MachineResult& result) const {
    if (!result.reached) return false;
    const std::uint64_t vector_number = result.slots[vector] & 0xFF, behind = input.done_rip - 2;
    if (setup_.timer) return vector_number == kTimerVector && result.slots[rip] == behind;
    if (input.gate && static_cast<std::uint64_t>(*input.gate) == vector_number && result.slots[rip] == behind) return true;
    return vector_number == kDoneVector && result.slots[rip] == input.done_rip;
}

bool Trial::by_gate(const Case& input, const MachineResult& result) const {
    return input.gate && (result.slots[vector] & 0xFF) == static_cast<std::uint64_t>(*input.gate);
}

void Trial::judge_state(const Planned& planned, const Case& input, const MachineResult& result) {
    const Grid& grid = *planned.grid;
    const State& state = grid.states()[planned.state];
    const auto contradict_here = [&](std::string says, std::string expected) { contradict(grid, planned.state, std::move(says), std::move(expected)); };
    const bool done = completed(input, result);
    const std::string event = done ? "executes" : !result.reached ? result.ended : fault_text(result.slots[vector], result.slots[error]);
    const std::uint64_t start = input.input.slots[rip];
    if (state.outcome != Outcome::executes) {
        const std::string& expected = record_.faults[static_cast<std::size_t>(state.fault)].vector;
        if (done || !result.reached) return contradict_here(event, expected);
        if (!event.starts_with(expected.substr(0, 3)) || (mode_ != Mode::real16 && !is_fault_error(expected, result.slots[error]))) return contradict_here(event, expected);
        if (result.slots[rip] != start) contradict_here(fmt::format("{} at RIP {:#x}", event, result.slots[rip]), fmt::format("{} at RIP {:#x}", expected, start));
        for (const std::string& name : observable_resources())
            if (changed(name, input, result)) contradict_here(event + ", but changes " + name, expected + " and nothing else");
        return;
    }
    if (!done) {
        const bool elsewhere = result.reached && (result.slots[vector] & 0xFF) == kDoneVector;
        return contradict_here(elsewhere ? fmt::format("continues at {:#x}", result.slots[rip] - 2) : event,
                               elsewhere ? fmt::format("continues at {:#x}", input.done_rip - 2) : "executes");
    }
    const MachineResult after = by_gate(input, result) ? seen_by_handler(input, result) : result;
    for (const std::string& name : observable_resources()) {
        if (!changed(name, input, after)) continue;
        bool listed = false;
        for (std::size_t e = 0; e < record_.writes.size(); ++e) {
            if (resource(record_.writes[e]) != name || (state.writes >> e & 1) == 0) continue;
            listed = true;
            shown_[e] = true;
        }
        if (!listed) contradict_here("changes " + name, "leaves " + name);
    }
    // Other writes may write what was there before; the accessed bit of a descriptor that has it clear may not.
    for (std::size_t e = 0; e < record_.writes.size(); ++e) {
        const isa::Effect& effect = record_.writes[e];
        if ((state.writes >> e & 1) != 0 && effect.when.text().find("!desc.accessed") != std::string::npos && !changed(resource(effect), input, after))
            contradict_here("leaves the descriptor's accessed bit clear", "sets it");
    }
}

// A guarded write that one state shows must show in every state in which the record has it active: the operands are the
// same. (An unguarded one has no state to be wrong in.)
void Trial::judge_silence(const std::vector<Case>& cases, const std::vector<MachineResult>& results) {
    for (const Planned& planned : planned_) {
        const State& state = planned.grid->states()[planned.state];
        const Case& input = cases[planned.index];
        if (state.outcome != Outcome::executes || !completed(input, results[planned.index])) continue;
        const MachineResult after = by_gate(input, results[planned.index]) ? seen_by_handler(input, results[planned.index]) : results[planned.index];
        for (std::size_t e = 0; e < record_.writes.size(); ++e) {
            const std::string& name = resource(record_.writes[e]);
            const bool repeats = std::find(setup_.may_repeat.begin(), setup_.may_repeat.end(), name) != setup_.may_repeat.end();
            if ((state.writes >> e & 1) == 0 || !shown_[e] || !is_observable(name, mode_) || record_.writes[e].when.always() || repeats) continue;
            if (!changed(name, input, after)) contradict(*planned.grid, planned.state, "leaves " + name, "changes " + name);
        }
    }
}

void Trial::judge_pair(const Pair& pair, const std::vector<Case>& cases, const std::vector<MachineResult>& results) {
    const Grid& grid = *grids_.front();
    const Case &a = cases[pair.first], &b = cases[pair.second];
    MachineResult after_a = results[pair.first], after_b = results[pair.second];
    const auto report = [&](WitnessFate fate, std::string why) { witnesses_.push_back({pair.tag, fate, std::move(why)}); };
    if (!completed(a, after_a) || !completed(b, after_b)) {
        // With another content of a table the outcome may be a fault; that the states differ in it is what is to be shown.
        if (completed(a, after_a) && after_b.reached && !pair.resource.empty()) return report(WitnessFate::shown, "");
        if (!contradicted(grid, pair.first_state) && !contradicted(grid, pair.second_state)) contradict(grid, pair.first_state, "does not complete twice", "completes in both states");
        return report(WitnessFate::contradicted, "one of the two does not complete");
    }
    if (!pair.resource.empty()) {
        if (results_differ(a, after_a, b, after_b)) return report(WitnessFate::shown, "");
        if (setup_.hidden) return report(WitnessFate::unobservable, *setup_.hidden);
        contradict(grid, pair.first_state, "gives one result whatever " + pair.resource + " holds", "another result");
        return report(WitnessFate::contradicted, "the results are alike");
    }
    const State &first = grid.states()[pair.first_state], &second = grid.states()[pair.second_state];
    if (a.gate) after_a = seen_by_handler(a, after_a), after_b = seen_by_handler(b, after_b);
    std::string unseen;
    for (std::size_t e = 0; e < record_.writes.size(); ++e) {
        if (((first.writes ^ second.writes) >> e & 1) == 0) continue;
        const std::string& name = resource(record_.writes[e]);
        if (!is_observable(name, mode_)) {
            unseen = name;
            continue;
        }
        if (changed(name, a, after_a) != changed(name, b, after_b)) return report(WitnessFate::shown, "");
    }
    if (results_differ(a, after_a, b, after_b)) return report(WitnessFate::shown, "");
    if (!unseen.empty()) return report(WitnessFate::unobservable, setups_.why_unobservable(unseen).value_or(unseen));
    contradict(grid, pair.first_state, "does the same in both states", "another effect");
    report(WitnessFate::contradicted, "the effects are alike");
}

void Trial::judge_privileged(const std::vector<MachineResult>& results) {
    if (privilege_.privileged == classify::Privileged::no) return;
    bool traps = false, executes = false;
    for (const Planned& planned : planned_) {
        if (planned.grid != grids_.front().get() || contradicted(*planned.grid, planned.state) || !results[planned.index].reached) continue;
        const State& state = planned.grid->states()[planned.state];
        traps |= state.outcome == Outcome::privilege_trap && planned.grid->cpl(state) == 3;
        executes |= state.outcome == Outcome::executes;
    }
    const bool failed = !traps || !executes;
    witnesses_.push_back({"privileged", !failed ? WitnessFate::shown : contradictions_.empty() ? WitnessFate::unreachable : WitnessFate::contradicted,
                          !failed ? "" : traps ? "no state executes" : "no state traps"});
}

void Trial::judge_control(const std::vector<Case>&, const std::vector<MachineResult>&) {
    if (!sensitivity_.control) return;
    std::string unseen;
    bool observable = false;
    for (std::size_t e = 0; e < record_.writes.size(); ++e) {
        if (kind(record_.writes[e]) == isa::ResourceKind::user) continue;
        const std::string& name = resource(record_.writes[e]);
        if (shown_[e]) {
            witnesses_.push_back({"control", WitnessFate::shown, ""});
            return;
        }
        if (is_observable(name, mode_)) observable = true;
        else unseen = name;
    }
    const std::string& named = resource(record_.writes[sensitivity_.control_write]);
    if (!is_observable(named, mode_) || !observable) {
        witnesses_.push_back({"control", WitnessFate::unobservable, setups_.why_unobservable(named).value_or(named + " is lost in the trap that ends the case")});
        return;
    }
    // Where no case completes, the contradiction of each says more.
    const auto could_show = [&](const Planned& planned) {
        const State& state = planned.grid->states()[planned.state];
        return state.outcome == Outcome::executes && (state.writes >> sensitivity_.control_write & 1) != 0 && !contradicted(*planned.grid, planned.state);
    };
    if (std::any_of(planned_.begin(), planned_.end(), could_show)) contradict(*grids_.front(), *sensitivity_.control, "leaves " + named, "changes " + named);
    witnesses_.push_back({"control", WitnessFate::contradicted, named + " stays as it was"});
}

void Trial::judge(const std::vector<Case>& cases, const std::vector<MachineResult>& results) {
    for (const Planned& planned : planned_) judge_state(planned, cases[planned.index], results[planned.index]);
    judge_silence(cases, results);
    for (const Pair& pair : pairs_) judge_pair(pair, cases, results);
    judge_privileged(results);
    judge_control(cases, results);
    for (std::size_t e = 0; e < record_.writes.size(); ++e) {
        const std::string& name = resource(record_.writes[e]);
        const bool reachable = std::any_of(planned_.begin(), planned_.end(), [&](const Planned& p) { return (p.grid->states()[p.state].writes >> e & 1) != 0; });
        if (!reachable || !is_observable(name, mode_)) continue;
        ++effects_listed_;
        if (shown_[e]) ++effects_shown_;
        else effects_not_shown_.push_back(name);
    }
}

}  // namespace trapline::ring0
