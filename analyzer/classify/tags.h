// SPDX-License-Identifier: Apache-2.0
// The derived tags of a form under a profile in a mode (MODEL: the definitions).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "isa/database.h"

namespace trapline::classify {

enum class Privileged : std::uint8_t { no, yes, conditional };
enum class Behavior : std::uint8_t { no, mode, location, both };
std::string_view to_string(Behavior behavior);

struct Tags {
    Privileged privileged = Privileged::no;
    std::string token;               ///< control that decides, when conditional
    bool vmm_sets_token = false;     ///< under the profile's own settings it traps
    bool control_sensitive = false;
    Behavior behavior = Behavior::no;
    bool user_sensitive = false;
    bool executable = true;          ///< some state exists in which it neither faults for a missing feature nor for privilege
    bool overridden = false;

    bool sensitive() const { return control_sensitive || behavior != Behavior::no; }
    /// Sensitive and not privileged under the profile; a conditional form is covered where the VMM sets the bit.
    bool critical() const {
        return sensitive() && !(privileged == Privileged::yes || (privileged == Privileged::conditional && vmm_sets_token));
    }
    /// Renders yes, no or cond:TOKEN.
    std::string privileged_text() const;
};

/// One grid state of a witness, by atom name, and what the instruction does in it.
struct WitnessState {
    std::vector<std::pair<std::string, int>> atoms;
    std::string outcome;
};
/// Two states and two outcomes that show a tag; `tag` says which.
struct Witness {
    std::string tag;  ///< "privileged", "control", "mode" or "location"
    std::array<WitnessState, 2> states;
};

/// Derives the tags of `record` in `mode` under `profile`. Pure; the mode must be one of the record's.
Tags derive(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode);

/// The derivation of `derive`, step by step.
struct Explanation {
    Tags tags;
    std::vector<std::string> steps;   ///< one sentence each, in the order they were decided
    std::vector<Witness> witnesses;
};
Explanation explain(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode);

/// Tags by record, in the database's order, and mode; default ones in modes that the record has no form in.
using TagsByRecord = std::vector<std::array<Tags, kAllModes.size()>>;

/// Derives the tags of every record in every mode.
TagsByRecord derive_all(const isa::Database& database, const isa::Profile& profile);

/// Tags of every record in every mode under one profile.
class TagTable {
public:
    /// Derives them; of the compiled database (same version) it takes those that were derived when the program was built.
    TagTable(const isa::Database& database, const isa::Profile& profile);
    const Tags& at(const isa::Record& record, Mode mode) const;
    const isa::Profile& profile() const { return *profile_; }

private:
    const isa::Database* database_;
    const isa::Profile* profile_;
    TagsByRecord tags_;
};

}  // namespace trapline::classify
