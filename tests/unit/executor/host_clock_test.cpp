// SPDX-License-Identifier: Apache-2.0
// The clock that reads the time-stamp counter between two looks at the host's, held against the host's.
#include "executor/host/host_clock.h"

#include <catch2/catch.hpp>

using trapline::executor::HostClock;

namespace {

std::uint64_t host_time() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

TEST_CASE("the clock never goes back and keeps to the host's", "[executor][clock]") {
    // It trusts the counter for a millisecond, in which the two drift apart by far less than this.
    constexpr std::uint64_t kNear = 100'000, kLong = 120'000'000;
    HostClock clock;
    const std::uint64_t began = host_time();
    std::uint64_t last = 0;
    bool went_back = false, strayed = false;
    while (last < began + kLong) {
        const std::uint64_t before = host_time(), now = clock.now(), after = host_time();
        went_back |= now < last;
        strayed |= now + kNear < before || now > after + kNear;
        last = now;
    }
    CHECK_FALSE(went_back);
    CHECK_FALSE(strayed);
}
