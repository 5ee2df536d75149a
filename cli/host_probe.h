// SPDX-License-Identifier: Apache-2.0
// What this machine answers when it is asked by experiment. Each experiment runs in a forked child, so that a signal, a
// changed setting or a hang harms nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trapline::cli {

/// How a child ended and what it wrote.
struct ChildReport {
    bool started = false;
    int signal = 0;    ///< that ended it; 0 when it returned
    std::string text;  ///< what `work` returned
};

/// Runs `work` in a child with no core dumps and two seconds of time, and gives its result. Call while the process has one
/// thread only.
ChildReport run_in_child(const std::function<std::string()>& work);

/// One answer: whether the host has it, what was found, and why it matters.
struct HostAnswer {
    enum class State : std::uint8_t { yes, no, note } state = State::note;
    std::string group;  ///< "cpu", "ring-3", "executor", "host"
    std::string name;   ///< stable, for scripts: "umip", "modify_ldt"
    std::string found;
    std::string meaning;
};

/// CPU vendor, family, model, and the features that decide what traps at CPL 3 (CPUID).
std::vector<HostAnswer> probe_cpu();
/// What instructions do at CPL 3 here: SGDT and SMSW, CPUID, RDTSC, RDFSBASE, a 32-bit code segment.
std::vector<HostAnswer> probe_ring3();
/// What the kernel lets a process do that a deprivileged guest would need.
std::vector<HostAnswer> probe_executor();
/// Memory, processors and the limits put on them.
std::vector<HostAnswer> probe_resources();

/// Reads the first line of a small file such as one below /proc/sys; nothing when it cannot be read.
std::optional<std::string> first_line(const std::string& path);

}  // namespace trapline::cli
