// SPDX-License-Identifier: Apache-2.0
// Which features of the database's forms this CPU has (isa-specs/x86/cpuid-features.json).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "executor/host/cpu.h"
#include "support/error.h"

namespace trapline::executor {

class CpuFeatures {
public:
    static constexpr std::string_view kFile = "x86/cpuid-features.json";

    /// Reads the table and asks CPUID about each row; a feature that needs register state counts as absent unless `xcr0`
    /// enables that. Fails on unknown keys, two rows of one name and bad numbers, naming the place.
    static Result<CpuFeatures> parse(std::string_view json, const AskCpuid& ask, std::uint64_t xcr0);

    /// Says whether a feature is there; a name without a row is absent from the table, which knows() tells.
    bool present(std::string_view feature) const;
    bool knows(std::string_view feature) const { return features_.find(feature) != features_.end(); }
    const std::map<std::string, bool, std::less<>>& all() const { return features_; }

private:
    std::map<std::string, bool, std::less<>> features_;
};

}  // namespace trapline::executor
