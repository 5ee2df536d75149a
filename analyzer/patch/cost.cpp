// SPDX-License-Identifier: Apache-2.0
// Sums of table entries; no model of caches or overlap.
#include "patch/cost.h"

namespace trapline::patch {

void estimate(const CostTable& table, PlannedSite& site, std::size_t lines, bool calls_vmm) {
    // What is critical does not trap: without a patch it takes a breakpoint to be seen at all.
    site.cycles_trap = (site.critical ? table.breakpoint : table.trap) + table.emulate;
    double code = static_cast<double>(lines) * table.instruction;
    if (calls_vmm) code += (site.mode == "64" ? table.near_call : table.far_call) + table.emulate;
    switch (site.technique) {
        case Technique::inline_code: site.cycles = code; break;
        case Technique::direct:
        case Technique::absorb: site.cycles = code + table.jump_pair; break;
        case Technique::springboard: site.cycles = code + 1.5 * table.jump_pair; break;
        case Technique::watch:
        case Technique::breakpoint: site.cycles = table.breakpoint + table.emulate; break;
        case Technique::trap: site.cycles = table.trap + table.emulate; break;
        case Technique::translate:
        case Technique::interpret:
        case Technique::by_hand:
        case Technique::unplanned: site.cycles = site.cycles_trap; break;
    }
}

}  // namespace trapline::patch
