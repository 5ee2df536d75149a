// SPDX-License-Identifier: Apache-2.0
// From effects and guards to tags, by the definitions of the model. Nothing here knows an instruction by name.
#include "classify/derive.h"

#include <algorithm>

namespace trapline::classify {

using isa::AtomIndex;
using isa::Axis;
using isa::ResourceKind;

namespace {

// What the VMM gives an atom: its own choice in the profile, else the atom's default.
int vmm_value(const isa::Database& database, const isa::Profile& profile, AtomIndex atom) {
    for (const auto& [owned, value] : profile.vmm)
        if (owned == atom) return value;
    return database.atoms[atom].vmm;
}

bool is_control_axis(const isa::Database& database, const Grid& grid, AtomIndex atom) {
    return database.atoms[atom].axis == Axis::control || atom == grid.iopl_atom();
}

bool counts(const State& state) { return state.outcome == Outcome::executes || state.outcome == Outcome::privilege_trap; }

PrivilegeJudgement judge_exit(const isa::Record& record, const isa::Profile& profile, const Grid& grid) {
    PrivilegeJudgement judgement;
    const auto& exit = profile.exits == isa::ExitModel::vmx ? record.vmx : record.svm;
    if (!exit) {
        judgement.why = "no execution control or intercept makes it leave the guest";
        return judgement;
    }
    if (exit->always) {
        judgement.privileged = Privileged::yes;
        judgement.why = "it leaves the guest whatever the controls say";
    } else {
        judgement.privileged = Privileged::conditional;
        judgement.token = exit->control;
        const auto set = [&](const std::string& control) {
            return profile.all_exit_controls ||
                   std::find(profile.exit_controls.begin(), profile.exit_controls.end(), control) != profile.exit_controls.end();
        };
        judgement.vmm_sets_token = set(exit->control) || std::any_of(exit->also.begin(), exit->also.end(), set);
        judgement.why = "it leaves the guest when " + exit->control + " is set";
    }
    for (std::size_t i = 0; i < grid.states().size(); ++i)
        if (grid.states()[i].outcome == Outcome::executes) judgement.states = StatePair{i, i};
    return judgement;
}

}  // namespace

PrivilegeJudgement judge_privilege(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode, const Grid& grid) {
    if (profile.exits != isa::ExitModel::none) return judge_exit(record, profile, grid);
    PrivilegeJudgement judgement;
    if (mode == Mode::real16) {
        judgement.why = "real mode has no user mode";
        return judgement;
    }
    const auto& states = grid.states();
    std::optional<std::size_t> supervisor_executes;
    for (std::size_t i = 0; i < states.size() && !supervisor_executes; ++i)
        if (grid.cpl(states[i]) == 0 && states[i].outcome == Outcome::executes) supervisor_executes = i;
    if (!supervisor_executes) {
        judgement.why = "it executes in no supervisor state of this profile";
        return judgement;
    }

    // traps(c): in every state at the deprivileged CPL that agrees with the control setting c, whatever the operands.
    std::vector<AtomIndex> controls;
    for (AtomIndex atom : grid.axes())
        if (is_control_axis(database, grid, atom)) controls.push_back(atom);
    std::size_t settings = 1;
    for (AtomIndex atom : controls) settings *= static_cast<std::size_t>(grid.domain(atom));
    enum class Verdict : std::uint8_t { unseen, traps, executes };
    std::vector<Verdict> verdicts(settings, Verdict::unseen);
    const auto setting_of = [&](auto&& value_of) {
        std::size_t index = 0;
        for (std::size_t k = controls.size(); k-- > 0;) index = index * static_cast<std::size_t>(grid.domain(controls[k])) + static_cast<std::size_t>(value_of(controls[k]));
        return index;
    };
    std::optional<std::size_t> user_trap, user_executes;
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (grid.cpl(states[i]) != profile.deprivileged_cpl || !counts(states[i])) continue;
        Verdict& verdict = verdicts[setting_of([&](AtomIndex atom) { return states[i].values[atom]; })];
        if (states[i].outcome == Outcome::executes) {
            verdict = Verdict::executes;
            if (!user_executes) user_executes = i;
        } else {
            if (verdict == Verdict::unseen) verdict = Verdict::traps;
            if (!user_trap) user_trap = i;
        }
    }
    const bool some_trap = std::find(verdicts.begin(), verdicts.end(), Verdict::traps) != verdicts.end();
    const bool some_execute = std::find(verdicts.begin(), verdicts.end(), Verdict::executes) != verdicts.end();
    if (!some_trap) {
        if (user_executes) judgement.states = StatePair{*user_executes, *supervisor_executes};
        judgement.why = user_trap ? "at the deprivileged CPL it traps for some operands only" : "it executes at the deprivileged CPL without a trap";
        return judgement;
    }
    judgement.states = StatePair{*user_trap, *supervisor_executes};
    if (!some_execute) {
        judgement.privileged = Privileged::yes;
        judgement.why = "at the deprivileged CPL it traps in every state, in supervisor mode it does not";
        return judgement;
    }
    judgement.privileged = Privileged::conditional;
    judgement.states = StatePair{*user_trap, *user_executes};
    const std::size_t vmm = setting_of([&](AtomIndex atom) { return vmm_value(database, profile, atom); });
    judgement.vmm_sets_token = verdicts[vmm] == Verdict::traps;
    // The token is the first control, in the order of atoms.json, whose change alone turns the trap on or off.
    std::size_t stride = 1;
    for (AtomIndex atom : controls) {
        const auto domain = static_cast<std::size_t>(grid.domain(atom));
        for (std::size_t setting = 0; setting < settings && judgement.token.empty(); ++setting)
            for (std::size_t value = 0; value < domain; ++value) {
                const std::size_t other = setting + (value - setting / stride % domain) * stride;
                const auto pair = std::pair{verdicts[setting], verdicts[other]};
                if (pair == std::pair{Verdict::traps, Verdict::executes}) judgement.token = database.atoms[atom].token;
            }
        stride *= domain;
    }
    judgement.why = "at the deprivileged CPL whether it traps hangs on " + judgement.token;
    return judgement;
}

SensitivityJudgement judge_sensitivity(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, const Grid& grid) {
    SensitivityJudgement judgement;
    const auto& states = grid.states();
    const auto kind = [&](const isa::Effect& effect) { return database.resources[effect.resource].kind; };
    const auto owned = [&](const isa::Effect& effect) { return static_cast<bool>(profile.guest_owned[effect.resource]); };
    const auto reads_own = [&](const isa::Effect& effect) { return owned(effect) || profile.guest_loaded[effect.resource]; };
    const auto mode_is_guests = [&] {
        const auto cpl = database.find_resource("cpl");
        return cpl && profile.guest_owned[*cpl];
    }();

    // Effects on the guest's own copies are invisible to the host: they make no difference between states.
    std::uint64_t visible_reads = 0, visible_writes = 0;
    for (std::size_t e = 0; e < record.reads.size(); ++e)
        if (!reads_own(record.reads[e])) visible_reads |= std::uint64_t{1} << e;
    for (std::size_t e = 0; e < record.writes.size(); ++e)
        if (!owned(record.writes[e])) visible_writes |= std::uint64_t{1} << e;
    const auto differ = [&](const State& a, const State& b) {
        return a.outcome == Outcome::executes && b.outcome == Outcome::executes &&
               (((a.reads ^ b.reads) & visible_reads) != 0 || ((a.writes ^ b.writes) & visible_writes) != 0);
    };
    // Under hardware virtualisation the guest keeps its own levels, and user mode is its CPL 3.
    const int user_cpl = profile.exits == isa::ExitModel::none ? profile.deprivileged_cpl : 3;
    const auto is_user = [&](const State& state) { return grid.cpl(state) == user_cpl; };

    for (std::size_t i = 0; i < states.size(); ++i) {
        const State& state = states[i];
        if (state.outcome != Outcome::executes) continue;
        for (std::size_t e = 0; e < record.writes.size(); ++e) {
            if ((state.writes >> e & 1) == 0 || kind(record.writes[e]) == ResourceKind::user || owned(record.writes[e])) continue;
            if (!judgement.control) {
                judgement.control = i;
                judgement.control_write = e;
            }
            judgement.user |= is_user(state);
        }
        for (std::size_t e = 0; e < record.reads.size(); ++e) {
            if ((state.reads >> e & 1) == 0 || kind(record.reads[e]) == ResourceKind::user || reads_own(record.reads[e])) continue;
            const bool reads_mode = kind(record.reads[e]) == ResourceKind::mode;
            auto& pair = reads_mode ? judgement.mode : judgement.location;
            auto& read = reads_mode ? judgement.mode_read : judgement.location_read;
            if (!pair) {
                pair = StatePair{i, i};
                read = e;
            }
            judgement.user |= is_user(state);
        }
        for (AtomIndex atom : grid.axes()) {
            const bool by_mode = atom == grid.cpl_atom() || atom == grid.iopl_atom();
            const bool by_control = database.atoms[atom].axis == Axis::control;
            if ((!by_mode && !by_control) || (by_mode && mode_is_guests)) continue;
            auto& pair = by_mode ? judgement.mode : judgement.location;
            for (int value = 0; value < grid.domain(atom); ++value) {
                const std::size_t other = grid.neighbour(i, atom, value);
                if (!differ(state, states[other])) continue;
                if (!pair) pair = StatePair{i, other};
                judgement.user |= is_user(state);
            }
        }
    }
    return judgement;
}

Tags combine(const isa::Record& record, const Grid& grid, const PrivilegeJudgement& privilege, const SensitivityJudgement& sensitivity) {
    Tags tags;
    tags.privileged = privilege.privileged;
    tags.token = privilege.token;
    tags.vmm_sets_token = privilege.vmm_sets_token;
    tags.control_sensitive = sensitivity.control.has_value();
    tags.behavior = sensitivity.mode ? (sensitivity.location ? Behavior::both : Behavior::mode)
                                     : (sensitivity.location ? Behavior::location : Behavior::no);
    tags.user_sensitive = sensitivity.user;
    tags.executable = std::any_of(grid.states().begin(), grid.states().end(), [](const State& s) { return s.outcome == Outcome::executes; });
    for (const isa::Override& forced : record.overrides) {
        tags.overridden = true;
        if (forced.tag == "privileged") tags.privileged = forced.value == "yes" ? Privileged::yes : Privileged::no;
        else if (forced.tag == "control_sensitive") tags.control_sensitive = forced.value == "yes";
        else if (forced.tag == "behavior_sensitive")
            tags.behavior = forced.value == "mode" ? Behavior::mode : forced.value == "location" ? Behavior::location : forced.value == "both" ? Behavior::both : Behavior::no;
    }
    return tags;
}

Tags derive(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode) {
    const Grid grid(database, record, profile, mode);
    return combine(record, grid, judge_privilege(database, record, profile, mode, grid), judge_sensitivity(database, record, profile, grid));
}

std::string_view to_string(Behavior behavior) {
    switch (behavior) {
        case Behavior::no: return "no";
        case Behavior::mode: return "mode";
        case Behavior::location: return "location";
        case Behavior::both: return "both";
    }
    return "no";
}

std::string Tags::privileged_text() const {
    switch (privileged) {
        case Privileged::no: return "no";
        case Privileged::yes: return "yes";
        case Privileged::conditional: return "cond:" + token;
    }
    return "no";
}

TagsByRecord derive_all(const isa::Database& database, const isa::Profile& profile) {
    TagsByRecord tags(database.records.size());
    for (std::size_t i = 0; i < database.records.size(); ++i)
        for (Mode mode : kAllModes)
            if (database.records[i].encoding.modes.contains(mode)) tags[i][static_cast<std::size_t>(mode)] = derive(database, database.records[i], profile, mode);
    return tags;
}

}  // namespace trapline::classify
