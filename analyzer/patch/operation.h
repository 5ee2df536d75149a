// SPDX-License-Identifier: Apache-2.0
// From findings to intentions: for each site a VMM must deal with, the operation it asks of the VMM and how the site would
// come to ask for it. No bytes are written and no room is reserved here; that is the planner's work.
#pragma once

#include <string_view>

#include "isa/database.h"
#include "scan/finding.h"

namespace trapline::patch {

/// How a site is made to reach the VMM. Cost falls from trap (2.4 us and more) to direct and inline (2 ns).
enum class Technique : std::uint8_t {
    inline_flags,  ///< "inline": the virtual interrupt flag or flags word is read or updated in place, without the VMM
    direct,        ///< "direct": the instruction is long enough to hold a jump to a stub
    absorb,        ///< "absorb": a jump takes the room of the instruction and its neighbours, which move to the stub
    breakpoint,    ///< "breakpoint": INT3 in its first byte, which always fits
    trap,          ///< "trap": the site stays as it is and traps by itself
    unplanned,     ///< "unplanned": nothing fits; `why` says what stands against it
};
std::string_view to_string(Technique technique);

/// Plans every critical site and every site that is privileged, conditionally or always, in the order of the findings;
/// what is sensitive but neither does not exist (MODEL: critical). Pure: the same findings give the same plan. A finding
/// whose form the database does not have, because the scan was made with another version of it, comes out unplanned.
PlanDocument plan_operations(const ScanDocument& scan, const isa::Database& database);

}  // namespace trapline::patch
