// SPDX-License-Identifier: Apache-2.0
// What device tests turn by hand: a clock, and interrupt lines that keep a record.
#pragma once

#include <array>

#include "executor/device/device.h"

namespace trapline::executor {

struct HandClock final : Clock {
    Nanoseconds time = 0;
    Nanoseconds now() override { return time; }
};

struct RecordedLines final : InterruptLines {
    std::array<bool, 16> high{};
    std::array<unsigned, 16> rises{};
    void set_line(unsigned line, bool now_high) override {
        if (now_high && !high[line]) ++rises[line];
        high[line] = now_high;
    }
};

inline constexpr Nanoseconds kMicrosecond = 1'000, kMillisecond = 1'000'000, kSecond = 1'000'000'000;

}  // namespace trapline::executor
