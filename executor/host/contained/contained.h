// SPDX-License-Identifier: Apache-2.0
// The part of the freestanding program that stays in a child: entry into the experiment, and the signal handler.
#pragma once

#include "executor/host/probe_layout.h"

namespace trapline::executor {

/// Fills [begin, end) with the current memory pattern.
void fill_with_pattern(unsigned long begin, unsigned long end);
/// Sets the pattern that fill_with_pattern writes. `code_selector` is the CS that far pointers name.
void set_pattern(MemoryPattern pattern, unsigned short code_selector);

/// Drops the nursery's text, loads the registers and jumps to the experiment. Ends in contained_signal.
[[noreturn]] void enter_experiment(const ProbeJob& job, unsigned long start);

}  // namespace trapline::executor

// Hidden: reached relative to the instruction pointer, never through a table of addresses, which nobody would fill.
#pragma GCC visibility push(hidden)
extern "C" {
/// Handler of all signals of the children; sa_restorer of the same.
void contained_signal(int, void*, void*);
void contained_restorer();
// Bounds of both texts, from contained.ld.
extern char nursery_text_begin[], nursery_text_end[], contained_text_begin[], contained_text_end[];
}
#pragma GCC visibility pop
