// SPDX-License-Identifier: Apache-2.0
// Runs of whole instructions that a jump may take the place of.
//
// Proof obligation of every window: control and data reach its bytes only through its first instruction. So no known
// target lies strictly inside; no table of the kernel speaks of its bytes; each instruction does in a stub what it does
// here; all but the last hand control to the next; and no other patch has a byte of it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "patch/guest_code.h"
#include "patch/room.h"
#include "patch/template_code.h"

namespace trapline::patch {

/// One instruction of a window, with the code that stands in for it if it is a site.
struct WindowItem {
    GuestInstruction insn;
    const TemplateCode* code = nullptr;  ///< of sites; null for neighbours
    bool dropped = false;                ///< a NOP: it need not run anywhere
};

struct Window {
    scan::CodePlace begin;
    std::uint64_t end = 0;               ///< offset behind the last byte, dead filler included
    std::vector<WindowItem> items;
    std::uint64_t exit_address = 0;      ///< where control goes on behind the last instruction
    bool falls_through = true;           ///< control gets there
    std::vector<std::string> evidence;

    std::uint64_t size() const { return end - begin.offset; }
    bool shares_bytes(scan::CodePlace from, std::uint64_t to) const {
        return begin.section == from.section && from.offset < end && begin.offset < to;
    }
};

/// Where a site stands and what it is.
using SiteIndex = std::map<scan::CodePlace, std::uint32_t>;

/// What windows are looked for in. References; everything outlives the search.
struct PlanContext {
    const scan::CodeFacts& facts;
    const Room& room;
    const SiteIndex& sites;
    const std::vector<PlannedSite>& planned;
    TemplateAssembler& templates;
    /// What a byte of the image will be under the plan so far; nothing where that is still open.
    std::function<std::optional<std::uint8_t>(scan::CodePlace)> planned_byte;
};

/// Tries the window that starts at `begin`, holds at least `need` bytes and, where it is given, the whole instruction at
/// `must_hold`. On refusal `why` says what stands against it.
std::optional<Window> try_window(const PlanContext& context, scan::CodePlace begin, std::uint64_t need,
                                 std::optional<std::uint64_t> must_hold, std::string& why);

/// Tries windows around a site: from the site on, then with one instruction before it, and so on up to kMostBefore.
/// `why` says what stands against the first. `accept` may refuse one for reasons of its own. `must_hold`: the offset of a
/// later instruction that the window has to hold too.
std::optional<Window> find_window(const PlanContext& context, scan::CodePlace site, std::uint64_t need, std::string& why,
                                  const std::function<bool(const Window&)>& accept = {}, std::uint64_t must_hold = 0);

inline constexpr int kMostBefore = 8;
/// A stub is for a handful of instructions; what needs more is no patch any longer.
inline constexpr std::size_t kMostItems = 24;

/// Whether no instruction and no target can lead into [begin, end): filler behind something that does not fall through.
bool is_dead_filler(const scan::CodeFacts& facts, scan::CodePlace begin, std::uint64_t end);

/// The same, and neither another patch nor a table of the kernel has a byte of it.
bool is_free_filler(const PlanContext& context, scan::CodePlace begin, std::uint64_t end);

}  // namespace trapline::patch
