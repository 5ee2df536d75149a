// SPDX-License-Identifier: Apache-2.0
// The state in which this host runs user code, as values of the guards' atoms: what a process can find out, and what
// Linux fixes for every process.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "executor/host/cpu.h"
#include "isa/database.h"

namespace trapline::executor {

/// One atom whose value is known, and how it became known.
struct KnownAtom {
    std::string atom;
    int value = 0;
    std::string how;
};

/// What a process can ask this host beside CPUID. Tests give their own.
struct HostQuestions {
    AskCpuid cpuid;
    std::function<std::uint64_t()> xcr0;
    std::function<bool(std::string_view flag)> cpuinfo;                             ///< /proc/cpuinfo lists it
    std::function<std::optional<int>(std::string_view path)> setting;               ///< number in a file of /sys
    std::function<std::optional<int>()> tsc_mode;                                   ///< prctl(PR_GET_TSC)
    std::function<bool()> shadow_stack;                                             ///< on in this process
    std::function<bool()> fsgsbase;                                                 ///< AT_HWCAP2 says that it is enabled
    std::function<bool()> cpuid_faults;                                             ///< arch_prctl(ARCH_GET_CPUID)
};
/// The questions as this host answers them.
HostQuestions this_host();

/// Gives every atom that has one value in user code here, cpl and iopl among them, in the order of discovery. Atoms that
/// hang on the mode (long, protected, real) and on operands are not listed.
std::vector<KnownAtom> read_host_state(const HostQuestions& questions);

/// Values of atoms, and which of them are known.
struct PartialState {
    isa::Assignment values;
    std::vector<bool> known;
    /// Fixes an atom; a name that the database does not have is a bug of the caller's table.
    void fix(const isa::Database& database, std::string_view atom, int value);
};
/// Puts the host's atoms and those of the mode together.
PartialState state_in(const isa::Database& database, const std::vector<KnownAtom>& host, Mode mode);

}  // namespace trapline::executor
