// SPDX-License-Identifier: Apache-2.0
// A stopped guest as an ELF core file (System V gABI; notes as Linux writes them for i386), which debuggers open.
#pragma once

#include <string>
#include <vector>

#include "executor/host/monitor_message.h"
#include "executor/mmu/guest_memory.h"

namespace trapline::executor {

/// A core file in two parts. Segments map linear addresses to the RAM behind the head: those of the guest's page tables, or where paging
/// is off physical ones.
struct CoreFile {
    std::vector<std::uint8_t> head;  ///< headers and notes, whole pages; all of RAM follows in the file
    std::size_t segments = 0;
    bool complete = true;            ///< false: the tables map more pieces than a core file can have
};

/// What to put in front of RAM. `text` goes into a note of its own (owner TRAPLINE, type 1).
CoreFile make_core(const RegisterDump& registers, const SharedPages& ram, const std::string& text);

/// The end of a run for people: registers and the last things that happened, oldest first.
std::string describe_end(const std::string& what, const RegisterDump& registers, const LastHappenings& last);

}  // namespace trapline::executor
