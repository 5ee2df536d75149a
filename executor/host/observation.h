// SPDX-License-Identifier: Apache-2.0
// What a probe showed, in the words of the architecture: the raw result of a child read as an instruction's outcome.
#pragma once

#include <cstdint>
#include <string>

#include "executor/host/probe_layout.h"

namespace trapline::executor {

/// How one instruction ended.
enum class OutcomeKind : std::uint8_t {
    executes,    ///< Ran to its end, and the next instruction started.
    transfers,   ///< Ran, and control went elsewhere.
    faults,      ///< An exception at the instruction itself.
    delivered,   ///< Ran, and entered the handler of an exception behind itself: INT3, INT1, INTO.
    host_call,   ///< Asked the host kernel for a system call, which the filter stopped.
    wants_more,  ///< The CPU fetched beyond the bytes: the instruction is longer.
    spoofed,     ///< Trapped, and the host kernel answered in its place (verify/umip.h decides that).
    hangs,       ///< Used up its time.
    ended,       ///< The child was killed or exited without a report.
};

struct Observation {
    OutcomeKind kind = OutcomeKind::ended;
    std::uint8_t vector = 0;   ///< of `faults` and `delivered`
    std::uint64_t error = 0;   ///< error code of `faults`; architecture of `host_call`; wait status of `ended`
    std::uint8_t length = 0;   ///< bytes the CPU consumed, of `executes`; 0 when that does not show

    /// Says it in a stable word: "executes", "#GP(0)", "#GP(selector)", "#UD", "#PF", "delivered #BP", "host call i386".
    std::string word() const;
    friend bool operator==(const Observation&, const Observation&) = default;
};

/// Names an exception: "#GP"; "#31" for vectors without a name.
std::string vector_name(int vector);
/// Gives the vector of a name, with or without what stands in brackets behind it; -1 when there is none.
int vector_number(std::string_view name);

/// Reads a child's report. Whatever the child wrote, the answer is one of the above.
Observation observe(const ProbeJob& job, const ProbeResult& result);

}  // namespace trapline::executor
