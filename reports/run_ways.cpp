// SPDX-License-Identifier: Apache-2.0
#include "reports/run_ways.h"

#include <fmt/format.h>

#include "reports/markup.h"
#include "reports/run_tally.h"
#include "reports/text_encoding.h"

namespace trapline::reports {

double share(std::uint64_t part, std::uint64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

std::string way_legend() {
    std::string out = "<p class=\"legend\">";
    for (std::size_t i = 0; i < kRunArrivals.size(); ++i) out += fmt::format("<span class=\"key {}\"></span>{} ", kWayClasses[i], kRunArrivals[i]);
    return out + "</p>\n";
}

std::string way_bar(const RunCounts& counts, std::uint64_t RunCount::*member, std::uint64_t whole) {
    std::string detail;
    for (std::size_t i = 0; i < counts.size(); ++i)
        if (counts[i].*member != 0)
            detail += fmt::format("{}{} {}", detail.empty() ? "" : ", ", kRunArrivals[i], member == &RunCount::nanoseconds ? readable_duration(counts[i].*member) : grouped(counts[i].*member));
    const auto piece = [&](std::size_t i) { return BarPiece{kWayClasses[i], share(counts[i].*member, whole)}; };
    static_assert(kRunArrivals.size() == 4);
    return bar_cell({piece(0), piece(1), piece(2), piece(3)}, detail);
}

std::string each_arrival(const RunCounts& counts) {
    static_assert(kRunArrivals.back() == "interpreted");
    RunCounts timed = counts;
    timed.back() = {};
    const RunCount sum = total(timed);
    return sum.count == 0 ? std::string() : readable_duration(sum.nanoseconds / sum.count);
}

}  // namespace trapline::reports
