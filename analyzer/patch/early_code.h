// SPDX-License-Identifier: Apache-2.0
// Code that a kernel runs before paging puts it where it is linked.
#pragma once

#include <set>

#include "scan/code_facts.h"

namespace trapline::patch {

/// The instructions that direct control flow from the ELF entry leads to, up to the first indirect branch or return on each
/// path. A kernel is entered at its physical address and leaves it by a far or indirect jump, so until then relative jumps
/// to a fixed linear address go wrong. Some of them also run later, at their linked address: calls are followed.
/// Empty where the entry runs where it is linked (`physical_entry` false).
std::set<scan::CodePlace> find_early_code(const scan::CodeFacts& facts);

}  // namespace trapline::patch
