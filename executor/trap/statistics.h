// SPDX-License-Identifier: Apache-2.0
// What a run did, counted: plain data for reports.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace trapline::executor {

/// The ways an instruction of the guest reaches the monitor.
enum class Arrival : std::uint8_t { trap, breakpoint, hypercall, interpreted };
inline constexpr std::size_t kArrivals = 4;
std::string_view to_string(Arrival arrival);

struct Tally {
    std::uint64_t count = 0, ticks = 0;  ///< ticks of the time-stamp counter spent in the monitor
};

/// One place in the guest's code.
struct SiteTally {
    std::uint32_t linear = 0;
    std::array<std::uint8_t, 15> bytes{};
    std::uint8_t length = 0;
    std::array<Tally, kArrivals> arrivals;
};

/// One thing that happened, for the end of a crash report.
struct Happening {
    enum Kind : std::uint32_t { arrival, event };
    std::uint32_t kind = arrival;
    std::uint32_t what = 0;    ///< Arrival, or the vector
    std::uint32_t cpl = 0, linear = 0;
    std::uint32_t detail = 0;  ///< EAX of an arrival, the error code of an event
    std::uint32_t address = 0; ///< CR2 of a page fault
};

/// The last things that happened.
struct LastHappenings {
    static constexpr std::size_t kKept = 64;
    std::array<Happening, kKept> ring{};
    std::uint64_t count = 0;  ///< of all; the next one goes to `ring[count % kKept]`
    void add(const Happening& one) { ring[count++ % kKept] = one; }
};

struct Statistics {
    std::unordered_map<std::uint32_t, SiteTally> sites;  ///< by linear address
    std::array<std::uint64_t, 256> delivered{};          ///< events by vector
    std::uint64_t signals = 0, hypercalls = 0, kicks = 0, interpreted = 0, entries = 0;
    std::uint64_t guest_ticks = 0, monitor_ticks = 0, idle_ticks = 0;  ///< of the time-stamp counter; idle: waiting for events
    LastHappenings last;
};

}  // namespace trapline::executor
