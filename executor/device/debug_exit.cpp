// SPDX-License-Identifier: Apache-2.0
// Debug exit: one formula.
#include "executor/device/debug_exit.h"

namespace trapline::executor {

std::uint32_t DebugExit::port_in(std::uint16_t, unsigned) { return 0; }

void DebugExit::port_out(std::uint16_t, unsigned, std::uint32_t value) {
    if (sink_) sink_({ExitRequest::Kind::debug_exit, value << 1 | 1});
}

}  // namespace trapline::executor
