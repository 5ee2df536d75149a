// SPDX-License-Identifier: Apache-2.0
// What a guest asks for when it wants its machine to end.
#pragma once

#include <cstdint>
#include <functional>

namespace trapline::executor {

/// How a guest ends its machine.
struct ExitRequest {
    enum class Kind : std::uint8_t { debug_exit, reset, power_off };
    Kind kind = Kind::power_off;
    std::uint32_t code = 0;  ///< debug_exit: what the process is to return
    friend bool operator==(const ExitRequest&, const ExitRequest&) = default;
};

/// Where devices say so. The access that caused it returns before anything ends.
using ExitSink = std::function<void(const ExitRequest&)>;

}  // namespace trapline::executor
