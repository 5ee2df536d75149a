// SPDX-License-Identifier: Apache-2.0
// Runs other programs by argument vector. No shell sees any of it.
#pragma once

#include <string>
#include <vector>

#include "support/error.h"

namespace trapline::cli {

using Arguments = std::vector<std::string>;

/// What came of a pipeline.
struct ProcessOutcome {
    int status = 0;      ///< exit code of the first program that failed; 128 + signal when a signal ended it; else 0
    std::string output;  ///< standard output of the last program
    std::string errors;  ///< standard error of all of them, its last 64 KiB
};

/// Runs the programs side by side, each one's output the next one's input, and waits for all. The first reads /dev/null;
/// the locale is C.UTF-8, so that messages can be read. Programs are looked up in PATH. Fails with host_limit when one
/// cannot be started (the others are waited for), with refused when the output passes 64 MiB (they are ended).
/// `directory`: where they run; empty for here.
Result<ProcessOutcome> run_pipeline(const std::vector<Arguments>& programs, const std::string& directory = {});

/// Runs one program.
inline Result<ProcessOutcome> run_process(const Arguments& program, const std::string& directory = {}) {
    return run_pipeline({program}, directory);
}

}  // namespace trapline::cli
