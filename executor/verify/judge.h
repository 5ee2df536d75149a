// SPDX-License-Identifier: Apache-2.0
// Holds what was seen against what the derivation says, and says why where they differ.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "executor/verify/cpu_differences.h"
#include "executor/verify/prediction.h"
#include "isa/loader.h"

namespace trapline::executor {

/// The machine that is asked: what CPUID and the kernel say of it.
struct Host {
    CpuIdentity cpu;
    CpuFeatures features;
    CpuDifferences differences;
    std::vector<KnownAtom> state;
    isa::Profile profile;  ///< current forms of this vendor alone
};

/// Reads the tables out of the database's files and asks `questions`. Fails where a table is malformed or missing.
Result<Host> describe_host(const isa::Database& database, const std::vector<isa::SpecFile>& files, const HostQuestions& questions);

enum class Agreement : std::uint8_t {
    confirmed,        ///< The CPU does what the guards say.
    explained,        ///< It does not, or the host hides it, for a reason that is known.
    not_confirmable,  ///< This host cannot show it; the reason says why.
    unexplained,      ///< A finding: database, CPU or this program is wrong.
};
std::string_view to_string(Agreement agreement);  ///< "not confirmable" with a blank

struct Judgement {
    Agreement agreement = Agreement::unexplained;
    std::string reason;  ///< a stable sentence, the same for all that share it
    const CpuDifference* row = nullptr;  ///< the row that explains it, if one does
};

/// Outcomes with how often each was seen, in order of first appearance.
struct Tally {
    std::vector<std::pair<Observation, int>> rows;
    void add(const Observation& observation);
    /// Renders "executes 28, #PF 7".
    std::string text() const;
    bool only(std::string_view word) const;
    bool ran() const;  ///< some outcome executes or transfers
};

/// Says why a form does not exist on this CPU; nothing when it does.
std::optional<std::string> absence(const Host& host, const isa::Record& record);
std::optional<std::string> absence(const Host& host, const isa::InnocuousForm& form);

/// Judges a form of the database with a record that this CPU has or lacks. `key` is the encoding that was run.
Judgement judge_record(const Host& host, const isa::Record& record, const isa::EncodingKey& key, const Prediction& prediction, const Tally& seen);
/// Judges a form that touches nothing a VMM owns: it runs, or faults for its operands, and is #UD only where it is absent.
Judgement judge_innocuous(const Host& host, const isa::InnocuousForm& form, const isa::EncodingKey& key, const Tally& seen);
/// Judges bytes that are no instruction: #UD, and nothing else.
Judgement judge_hole(const Host& host, const isa::EncodingKey& key, const Tally& seen);

}  // namespace trapline::executor
