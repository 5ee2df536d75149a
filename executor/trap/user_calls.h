// SPDX-License-Identifier: Apache-2.0
// System calls of user code without a signal: INT 80h and what stands next to it make room for a far call to the monitor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "executor/mmu/guest_memory.h"
#include "executor/trap/code_finder.h"

namespace trapline::executor {

/// A far call has an opcode, an offset and a selector.
inline constexpr std::size_t kFarCallBytes = 7;

/// Offsets of windows of kFarCallBytes in the page, each of whole instructions of which one is INT 80h, and into which no branch of the page
/// leads. They begin at the INT 80h or at the MOV that loads EAX before it, and do not overlap. `page` is the page's bytes.
std::vector<std::uint16_t> find_call_windows(const FoundCode& found, std::span<const std::uint8_t> page);

}  // namespace trapline::executor
