// SPDX-License-Identifier: Apache-2.0
// The ways by which instructions came to the monitor, as colours, bars and words. Internal to reports/.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "executor/host/run_statistics.h"

namespace trapline::reports {

/// Classes of report.css by kRunArrivals.
inline constexpr std::array<std::string_view, kRunArrivals.size()> kWayClasses = {"trap-way", "breakpoint-way", "hypercall-way", "interpreted-way"};
/// What each way is, by kRunArrivals.
inline constexpr std::array<std::string_view, kRunArrivals.size()> kWayMeanings = {
    "it faulted by itself, and the host sent a signal", "INT3 over it, and the host sent a signal", "patched code called the monitor, without the host",
    "the monitor was interpreting already; the time is in the arrival before"};

/// Gives part / whole for the width of a bar; 0 when whole is 0.
double share(std::uint64_t part, std::uint64_t whole);
/// Says which colour is which way.
std::string way_legend();
/// A cell with a bar of counts, or of times, by way; its full width is `whole`.
std::string way_bar(const RunCounts& counts, std::uint64_t RunCount::*member, std::uint64_t whole);
/// Time in the monitor for each arrival that was timed, which interpreted ones are not; empty where there is none.
std::string each_arrival(const RunCounts& counts);

}  // namespace trapline::reports
