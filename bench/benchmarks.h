// SPDX-License-Identifier: Apache-2.0
// The benchmarks by name. Every group has a row kBaseline, which the table's ratios refer to.
#pragma once

#include <string>

#include "bench/subject.h"

namespace trapline::bench {

/// The peer that all rows are held against: the length of each instruction by LLVM MC.
inline constexpr const char* kBaseline = "llvm-mc-length";

/// Registers the baseline under "GROUP/".
void register_baseline(const std::string& group, const Subject& subject);
/// Registers "decode/...": one thread over every instruction of the subject.
void register_decode(const Subject& subject);
/// Registers "scan/...": opening the file, and the whole scan of the opened image.
void register_scan(const Subject& subject);

}  // namespace trapline::bench
