// SPDX-License-Identifier: Apache-2.0
// The guest's page tables as the processor walks them: 32-bit with 4 MiB pages, and PAE (SDM vol. 3, "Paging").
#pragma once

#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"
#include "executor/mmu/guest_memory.h"

namespace trapline::executor {

struct PageAccess {
    bool write = false;
    bool fetch = false;
    Privilege privilege = Privilege::supervisor;
};

/// Where a linear address leads, and what the tables allow there.
struct PageTranslation {
    std::uint64_t frame = 0;       ///< physical address / 4096 of the small page (inside a large one: of its part)
    std::uint32_t span_pages = 1;  ///< 1, or 512 or 1024 inside a large page
    bool user = true;              ///< user code may access
    bool writable = true;          ///< R/W at every level (the supervisor may write regardless while CR0.WP is clear)
    bool dirty = true;             ///< D is set in the entry that maps the page
    bool global = false;           ///< G counts only with CR4.PGE
};

/// Walks, sets accessed bits and for writes the dirty bit. Without paging every address leads to itself.
MaybeFault walk_pages(const Vcpu& vcpu, const SharedPages& ram, std::uint32_t linear, PageAccess access, PageTranslation& translation);

/// False where PAE is in use and one of the four entries that CR3 names is present with reserved bits set (SDM vol. 3, "PDPTE Registers").
bool has_valid_pointers(const Vcpu& vcpu, const SharedPages& ram);

/// Whose sake a look is for: the guest's mappings may only be filled ahead where accessed is already set at every level (what the
/// processor might have read ahead); for the monitor's own reading being present is enough.
enum class Peek : std::uint8_t { accessed, present };
/// As walk_pages for a read by the supervisor, but changes nothing.
bool peek_pages(const Vcpu& vcpu, const SharedPages& ram, std::uint32_t linear, PageTranslation& translation, Peek peek = Peek::accessed);

}  // namespace trapline::executor
