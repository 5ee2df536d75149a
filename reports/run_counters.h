// SPDX-License-Identifier: Apache-2.0
// The counters of the statistics document that have a name each, with what each means: read by these names, shown with
// these words. Must match reports/schema/stats.json. Internal to reports/.
#pragma once

#include <array>
#include <string_view>

namespace trapline::reports {

struct RunCounter {
    std::string_view name, meaning;
    bool added = false;  ///< after documents of this version had been written: absent in those
};

/// Members of `exits`, in the document's order.
inline constexpr std::array<RunCounter, 5> kExitCounters = {{
    {"entries", "the guest's code was entered natively"},
    {"signals", "it came back by a signal: a fault, a breakpoint, a trap, the timer"},
    {"hypercalls", "it came back by a far call of patched code, without the host's kernel"},
    {"kicks", "the timer took it back for an event that was due"},
    {"interpreted", "instructions interpreted on the way, sensitive or not"},
}};

/// Members of `mmu`, in the document's order.
inline constexpr std::array<RunCounter, 11> kMmuCounters = {{
    {"fills_mapped", "page faults answered with a mapping of the host"},
    {"fills_faulted", "page faults that were the guest's own, and were delivered to it"},
    {"fills_interpreted", "accesses interpreted instead: devices, pages without memory"},
    {"fills_refused", "page faults for which the host had no mapping left"},
    {"maps", "mappings made"},
    {"unmaps", "mappings taken away"},
    {"protects", "mappings whose access changed"},
    {"flushes", "flushes that the guest asked for: CR3, CR0, CR4"},
    {"code_pages_scanned", "pages of code decoded and copied before they ran"},
    {"code_writes", "writes that took such a copy away"},
    {"code_reads", "reads of such a page that were answered with the guest's own bytes", true},
}};

}  // namespace trapline::reports
