// SPDX-License-Identifier: Apache-2.0
// What an exception or interrupt vector is called. Internal to reports/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trapline::reports {

/// Names a vector: exceptions as the manuals do (SDM volume 3, table 6-1; 28 to 30 as APM volume 2, table 8-1), the others
/// "interrupt". Under a Linux boot protocol the vectors that Linux gives to legacy interrupts and to its system call are named too.
std::string event_name(std::uint32_t vector, std::string_view protocol);

}  // namespace trapline::reports
