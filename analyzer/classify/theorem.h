// SPDX-License-Identifier: Apache-2.0
// The theorems of Popek and Goldberg (CACM 17:7, 1974) asked of the database under a profile.
#pragma once

#include <string>
#include <vector>

#include "classify/tags.h"

namespace trapline::classify {

/// One form in one mode that stands in a set, with its tags.
struct SetMember {
    const isa::Record* record = nullptr;
    Mode mode = Mode::long64;
    Tags tags;
};

/// What covers a sensitive form under hardware virtualisation.
struct Cover {
    const isa::Record* record = nullptr;
    std::vector<Mode> modes;
    std::string by;  ///< "always exits (reason 10)", "HLT_EXITING (reason 12)", "INTERCEPT_CPUID (code 0x72)"
};

/// Whether a theorem's sufficient condition is met. "Not met" never means "cannot be virtualized".
struct TheoremAnswer {
    int theorem = 1;
    bool met = false;
    std::string statement;
    std::string why;
};

struct Verdict {
    const isa::Profile* profile = nullptr;
    ModeSet modes;                      ///< modes asked about
    std::size_t forms = 0;              ///< form x mode pairs judged
    std::size_t sensitive = 0, privileged = 0, conditional = 0, user_sensitive = 0;
    std::size_t overrides = 0;
    std::vector<TheoremAnswer> theorems;      ///< 1, 2, 3 in order
    std::vector<SetMember> critical;          ///< the witness set of theorem 1
    std::vector<SetMember> user_critical;     ///< the witness set of theorem 3
    std::vector<Cover> covers;                ///< vmx and svm only
};

/// Answers theorems 1 to 3 for the forms of `profile` in `modes` (those the profile has).
Verdict judge(const isa::Database& database, const TagTable& tags, ModeSet modes);

}  // namespace trapline::classify
