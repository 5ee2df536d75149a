// SPDX-License-Identifier: Apache-2.0
// A worklist over the sweep's instructions.
#include "patch/early_code.h"

#include <vector>

#include "patch/guest_code.h"

namespace trapline::patch {

std::set<scan::CodePlace> find_early_code(const scan::CodeFacts& facts) {
    std::set<scan::CodePlace> seen;
    std::vector<scan::CodePlace> waiting;
    if (!facts.image().physical_entry) return seen;
    for (const image::CodePointer& pointer : facts.image().pointers)
        if (pointer.origin == image::CodePointer::Origin::entry)
            if (const auto place = facts.find(pointer.section, pointer.address)) waiting.push_back(*place);
    while (!waiting.empty()) {
        scan::CodePlace place = waiting.back();
        waiting.pop_back();
        while (true) {
            const auto insn = read_instruction(facts, place);
            if (!insn || !seen.insert(place).second) break;
            if (insn->flow.target)
                if (const auto target = facts.find(*insn->flow.target)) waiting.push_back(*target);
            if (!insn->flow.falls_through() || insn->flow.kind == scan::Flow::breakpoint) break;
            place.offset = insn->end();
        }
    }
    return seen;
}

}  // namespace trapline::patch
