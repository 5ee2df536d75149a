// SPDX-License-Identifier: Apache-2.0
// The host's monotonic clock, read by the time-stamp counter between two looks at it: the monitor asks for the time several times in
// a microsecond.
#pragma once

#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdint>

namespace trapline::executor {

class HostClock {
public:
    /// Nanoseconds of CLOCK_MONOTONIC. Never goes back. Off by less than kTrusted times the drift of the two clocks.
    std::uint64_t now() { return now(__rdtsc()); }
    /// The same for a time-stamp counter that the caller has just read.
    std::uint64_t now(std::uint64_t ticks) {
        // A counter that went back (another processor's) makes a difference that is too large as well.
        const std::uint64_t passed = ticks - ticks_;
        if (passed >= trusted_ticks_) return look();
        return last_ = std::max(last_, nanoseconds_ + ((passed * scale_) >> kScaleShift));
    }

private:
    static constexpr std::uint64_t kTrusted = 1'000'000;     // nanoseconds between two looks
    static constexpr std::uint64_t kMeasured = 20'000'000;   // nanoseconds over which the counter's rate is taken
    static constexpr unsigned kScaleShift = 24;

    std::uint64_t look() {
        const std::uint64_t ticks = __rdtsc();
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        const std::uint64_t nanoseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
        if (first_nanoseconds_ == 0) {
            first_ticks_ = ticks;
            first_nanoseconds_ = nanoseconds;
        } else if (const std::uint64_t span = nanoseconds - first_nanoseconds_; span >= kMeasured) {
            const std::uint64_t rate = ticks > first_ticks_ ? (span << kScaleShift) / (ticks - first_ticks_) : 0;
            scale_ = rate;
            trusted_ticks_ = rate == 0 ? 0 : (kTrusted << kScaleShift) / rate;
            first_ticks_ = ticks;
            first_nanoseconds_ = nanoseconds;
        }
        ticks_ = ticks;
        nanoseconds_ = nanoseconds;
        return last_ = std::max(last_, nanoseconds);
    }

    std::uint64_t ticks_ = 0, nanoseconds_ = 0;              // at the last look
    std::uint64_t first_ticks_ = 0, first_nanoseconds_ = 0;  // at the beginning of the measured span
    std::uint64_t scale_ = 0, trusted_ticks_ = 0;            // 0: not measured yet
    std::uint64_t last_ = 0;                                 // given
};

}  // namespace trapline::executor
