// SPDX-License-Identifier: Apache-2.0
// What setups.json says of a form: operands that make its effects show, or why it is not run.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine.h"
#include "support/error.h"

namespace trapline::ring0 {

/// The set-up of one form: all rows of the file that name it, a later one over an earlier. Values are expressions:
/// numbers, slots of the case and the names of case_builder.cpp, joined by ^ | & + from left to right.
struct Setup {
    std::optional<std::string> operand;                        ///< into the last operand, register or memory
    std::vector<std::pair<std::string, std::string>> set;      ///< slot and value
    std::vector<std::string> memory, stack;                    ///< "width:value"; b w d q, o = operand size, t = a table's base
    std::vector<std::string> pointer;                          ///< offset and selector of a far pointer in the bytes
    std::optional<std::string> immediate;                      ///< in place of the example's
    std::optional<std::string> bytes;                          ///< hex, in place of an example's, for every mode
    std::optional<std::string> lands;                          ///< linear address at which it continues
    std::optional<std::string> gate;                           ///< it continues in the handler of this vector
    std::optional<std::string> hidden;                         ///< why its result cannot be seen
    std::vector<std::string> may_repeat;                       ///< resources whose writes may write what is there already
    bool code_descriptor = false;                              ///< the selector's descriptor is a code segment
    bool timer = false;                                        ///< it waits: an interrupt ends it
    bool rex_w = false;                                        ///< REX.W before `bytes`
};

/// Where CPUID announces a feature (isa-specs/x86/cpuid-features.json); without a bit, `present` is the answer.
struct FeatureBit {
    std::optional<CpuidQuery> query;
    int reg = 0;  ///< eax, ebx, ecx, edx
    int bit = 0;
    bool present = false;
};

/// What TCG does, what the manual says instead, and where it says so.
struct TcgDifference {
    std::vector<std::string> forms;
    std::vector<Mode> modes;
    std::string state;   ///< a guard over atoms.json; empty for every state
    std::string says;    ///< the difference as this program words it
    std::string truth, clause, emulator;
    int used = 0;
};

/// Says whether `id` is one of `patterns`; a trailing * stands for any ending.
bool names_form(const std::vector<std::string>& patterns, std::string_view id);

class Setups {
public:
    /// Reads setups.json; every key that is not known is an error.
    static Result<Setups> parse(const std::string& text);

    Setup of(std::string_view form) const;
    std::optional<std::string> why_not_covered(std::string_view form, Mode mode) const;
    /// Why a resource cannot be seen from inside; nothing if it can.
    std::optional<std::string> why_unobservable(std::string_view resource) const;
    /// Patterns that name none of `forms`: typing errors, or forms that are gone.
    std::vector<std::string> stale_patterns(const std::vector<std::string>& forms) const;

private:
    struct Row {
        std::vector<std::string> forms;
        Setup setup;
    };
    std::vector<Row> rows_;
    struct Exclusion {
        std::vector<std::string> forms;
        std::vector<Mode> modes;  ///< empty for all
        std::string why;
    };
    std::vector<Exclusion> not_covered_;
    std::map<std::string, std::string, std::less<>> unobservable_;
};

/// Reads cpuid-features.json.
Result<std::map<std::string, FeatureBit, std::less<>>> parse_features(std::string_view text);

/// Reads tcg-differences.json.
Result<std::vector<TcgDifference>> parse_differences(const std::string& text);

}  // namespace trapline::ring0
