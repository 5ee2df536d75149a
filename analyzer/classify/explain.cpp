// SPDX-License-Identifier: Apache-2.0
// The derivation in sentences, with the two states that show each tag.
#include "classify/derive.h"

namespace trapline::classify {

namespace {

class Narrator {
public:
    Narrator(const isa::Database& database, const isa::Record& record, const Grid& grid) : database_(database), record_(record), grid_(grid) {}

    WitnessState describe(std::size_t index) const {
        const State& state = grid_.states()[index];
        WitnessState out;
        for (isa::AtomIndex atom : grid_.axes()) out.atoms.emplace_back(database_.atoms[atom].id, state.values[atom]);
        if (state.outcome != Outcome::executes) {
            const isa::Fault& fault = record_.faults[static_cast<std::size_t>(state.fault)];
            out.outcome = fault.vector + " (" + std::string(to_string(fault.cause)) + (fault.when.always() ? "" : ": " + fault.when.text()) + ")";
            return out;
        }
        const std::string reads = list(record_.reads, state.reads), writes = list(record_.writes, state.writes);
        out.outcome = "executes" + (reads.empty() ? "" : ", reads " + reads) + (writes.empty() ? "" : ", writes " + writes) + ignored(state);
        return out;
    }
    Witness witness(std::string tag, StatePair pair) const { return {std::move(tag), {describe(pair.first), describe(pair.second)}}; }
    const std::string& resource(const isa::Effect& effect) const { return database_.resources[effect.resource].id; }
    std::string_view kind(const isa::Effect& effect) const { return isa::to_string(database_.resources[effect.resource].kind); }

private:
    std::string list(const std::vector<isa::Effect>& effects, std::uint64_t active) const {
        std::string text;
        for (std::size_t e = 0; e < effects.size(); ++e)
            if (active >> e & 1) text += (text.empty() ? "" : ", ") + resource(effects[e]);
        return text;
    }
    std::string ignored(const State& state) const {
        std::string text;
        for (std::size_t e = 0; e < record_.writes.size(); ++e)
            if ((state.writes >> e & 1) == 0 && !record_.writes[e].otherwise.empty())
                text += "; " + resource(record_.writes[e]) + ": " + record_.writes[e].otherwise;
        return text;
    }

    const isa::Database& database_;
    const isa::Record& record_;
    const Grid& grid_;
};

// For a read of R the witness is one grid state twice: what differs is the resource's own content.
Witness read_witness(const Narrator& narrator, std::string tag, std::size_t state, const isa::Effect& effect) {
    Witness witness = narrator.witness(std::move(tag), {state, state});
    const std::string& name = narrator.resource(effect);
    const bool is_level = narrator.kind(effect) == "mode";
    witness.states[0].outcome += "; the result holds " + name + (is_level ? " = one level" : " = the machine's own value");
    witness.states[1].outcome += "; the result holds " + name + (is_level ? " = another level" : " = a value that the VMM placed there");
    return witness;
}

}  // namespace

Explanation explain(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode) {
    const Grid grid(database, record, profile, mode);
    const PrivilegeJudgement privilege = judge_privilege(database, record, profile, mode, grid);
    const SensitivityJudgement sensitivity = judge_sensitivity(database, record, profile, grid);
    const Narrator narrator(database, record, grid);

    Explanation out;
    out.tags = combine(record, grid, privilege, sensitivity);
    out.steps.push_back("Judged over " + std::to_string(grid.states().size()) + " states in mode " + std::string(to_string(mode)) + " under " + profile.id + ".");
    out.steps.push_back("privileged: " + out.tags.privileged_text() + ", since " + privilege.why + ".");
    if (privilege.states && profile.exits == isa::ExitModel::none && privilege.privileged != Privileged::no)
        out.witnesses.push_back(narrator.witness("privileged", *privilege.states));

    if (sensitivity.control) {
        const isa::Effect& effect = record.writes[sensitivity.control_write];
        out.steps.push_back("control-sensitive: yes, since without a trap it writes " + narrator.resource(effect) + " (" + std::string(narrator.kind(effect)) + ").");
        // The second state is the one before: the same state with the resource unwritten.
        Witness witness = narrator.witness("control", {*sensitivity.control, *sensitivity.control});
        witness.states[0].outcome = "before: " + narrator.resource(effect) + " as the VMM left it";
        witness.states[1].outcome = "after: " + witness.states[1].outcome;
        out.witnesses.push_back(std::move(witness));
    } else {
        out.steps.push_back("control-sensitive: no, since no execution without a trap writes what a VMM owns.");
    }

    if (sensitivity.mode_read) {
        const isa::Effect& effect = record.reads[*sensitivity.mode_read];
        out.steps.push_back("behavior-sensitive by mode: its result holds " + narrator.resource(effect) + ".");
        out.witnesses.push_back(read_witness(narrator, "mode", sensitivity.mode->first, effect));
    } else if (sensitivity.mode) {
        out.steps.push_back("behavior-sensitive by mode: two states that differ only in the level of privilege give different results, neither trapping.");
        out.witnesses.push_back(narrator.witness("mode", *sensitivity.mode));
    }
    if (sensitivity.location_read) {
        const isa::Effect& effect = record.reads[*sensitivity.location_read];
        out.steps.push_back("behavior-sensitive by location: its result depends on " + narrator.resource(effect) + " (" + std::string(narrator.kind(effect)) + ").");
        out.witnesses.push_back(read_witness(narrator, "location", sensitivity.location->first, effect));
    } else if (sensitivity.location) {
        out.steps.push_back("behavior-sensitive by location: two states that differ only in a control bit give different results, neither trapping.");
        out.witnesses.push_back(narrator.witness("location", *sensitivity.location));
    }
    if (out.tags.behavior == Behavior::no) out.steps.push_back("behavior-sensitive: no, since no result differs with the level or with what a VMM owns.");
    if (out.tags.overridden) out.steps.push_back("overridden by hand: " + record.overrides.front().reason + " (" + record.overrides.front().source + ").");
    out.steps.push_back(std::string("critical: ") + (out.tags.critical() ? "yes" : "no") +
                        (!out.tags.sensitive()                                   ? ", since it is not sensitive."
                         : out.tags.critical()                                   ? ", sensitive and not privileged."
                         : out.tags.privileged == Privileged::conditional        ? ", since the VMM sets " + out.tags.token + " so that it traps."
                                                                                 : ", since it is privileged."));
    return out;
}

}  // namespace trapline::classify
