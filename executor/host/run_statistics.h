// SPDX-License-Identifier: Apache-2.0
// What a run was and did: the result document of `trapline run`, plain data that reports render (schema trapline.stats/1).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trapline {

/// The ways in which an instruction reaches the monitor, as the document names them. Must match executor::Arrival.
inline constexpr std::array<std::string_view, 4> kRunArrivals = {"trap", "breakpoint", "hypercall", "interpreted"};

struct RunCount {
    std::uint64_t count = 0, nanoseconds = 0;
};
/// By kRunArrivals.
using RunCounts = std::array<RunCount, kRunArrivals.size()>;

/// Executions of one instruction name at all its places.
struct RunMnemonic {
    std::string mnemonic;
    RunCounts arrivals;
};

/// One place in guest code whose instruction came to the monitor.
struct RunSite {
    std::string part;                 ///< of the image, as in scans; kOtherCode for code that is not the image's
    std::uint64_t address = 0;        ///< linear
    std::vector<std::uint8_t> bytes;  ///< of the instruction
    std::string mnemonic;
    RunCounts arrivals;
};
/// The part of code that the image does not hold at that address: programs, modules, decompressors, relocated kernels.
inline constexpr std::string_view kOtherCode = "other";

/// What a run took of the host, beside what the host gives.
struct RunHost {
    std::uint64_t mappings = 0;          ///< of guest pages at the end, at most
    std::uint64_t mappings_allowed = 0;  ///< vm.max_map_count; 0 where it is not known
    std::uint64_t overflows = 0;         ///< times that all were dropped because the host took no more
    std::uint64_t peak_memory = 0;       ///< bytes that were resident at once, guest memory among them
};

struct RunStatistics {
    // The guest.
    std::string image, sha256;        ///< sha256 of the innermost file: of a bzImage the kernel inside
    std::string protocol, command_line;
    std::uint64_t memory = 0;         ///< bytes
    std::string technique;
    std::vector<std::string> containment;  ///< layers of the sandbox in force
    // How it ended.
    std::string ending, detail;       ///< `detail` is for people, and may be empty
    std::uint32_t code = 0;           ///< of a debug exit: what the guest wrote
    // Where the time went, in nanoseconds. The parts are those of the run itself: without loading.
    std::uint64_t wall = 0, guest = 0, monitor = 0, idle = 0;

    RunHost host;
    RunCounts arrivals;
    std::vector<RunMnemonic> mnemonics;                                   ///< most frequent first
    std::vector<std::pair<std::string_view, std::uint64_t>> exits;        ///< how native code was left, and what was interpreted
    std::vector<std::pair<std::string_view, std::uint64_t>> mmu;          ///< what memory management did
    std::vector<std::pair<std::uint32_t, std::uint64_t>> events;          ///< delivered exceptions and interrupts by vector
    std::vector<RunSite> sites;                                           ///< by part, address
};

}  // namespace trapline
