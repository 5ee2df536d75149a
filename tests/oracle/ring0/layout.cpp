// SPDX-License-Identifier: Apache-2.0
// The layout as assembly text.
#include "layout.h"

#include <utility>

#include <fmt/format.h>

namespace trapline::ring0 {

std::string equates() {
    std::string text;
    const auto set = [&](std::string_view name, std::uint64_t value) { text += fmt::format(".set {}, {:#x}\n", name, value); };
    const std::pair<std::string_view, std::uint64_t> numbers[] = {
        {"control_next", kControl + kNext}, {"control_count", kControl + kCount}, {"control_done", kControl + kDone},
        {"query_count", kControl + kQueryCount}, {"queries", kControl + kQueries}, {"answers", kControl + kAnswers},
        {"code", kCode}, {"data", kData}, {"probes", kProbes}, {"stack_window", kStack - kStackBytes / 2}, {"gdt1", kGdt1}, {"gdt2", kGdt2},
        {"gdt_limit", kDescriptorCount * 8 - 1}, {"idt1", kIdt1}, {"monitor", kMonitor}, {"tables", kTables}, {"tables_end", kTablesEnd},
        {"monitor_stack", kMonitorStack}, {"pages", kPages1}, {"master", kMaster}, {"cases", kCases}, {"case_stride", kCaseStride},
        {"results", kResults}, {"result_stride", kResultStride}, {"code_bytes", kCodeBytes}, {"data_bytes", kDataBytes},
        {"stack_bytes", kStackBytes}, {"gdt_bytes", kGdtBytes}, {"tables_bytes", kTablesBytes}, {"pokes", kPokes},
        {"case_code", kCaseCode}, {"case_pokes", kCasePokes}, {"case_stack", kCaseStack}, {"case_data", kCaseData},
        {"result_stack", kResultStack}, {"result_tables", kResultTables}, {"result_data", kResultData}, {"result_gdt1", kResultGdt1},
        {"result_gdt2", kResultGdt2}, {"incoming", kIncoming}, {"outgoing", kOutgoing}, {"slot_bytes", kSlotCount * 8},
        {"port", kPort}, {"second_idt", kSecondIdt},
        {"sel_code32", selector(kMonitorCode32)}, {"sel_data32", selector(kMonitorData32)}, {"sel_code64", selector(kMonitorCode64)},
        {"sel_code16", selector(kMonitorCode16)}, {"sel_data16", selector(kMonitorData16)}, {"sel_tss1", selector(kTss1Low)},
    };
    for (const auto& [name, value] : numbers) set(name, value);
    for (std::size_t slot = 0; slot < kSlotNames.size(); ++slot) {
        set(fmt::format("s_{}", kSlotNames[slot]), slot * 8);
        set(fmt::format("in_{}", kSlotNames[slot]), kIncoming + slot * 8);
        set(fmt::format("out_{}", kSlotNames[slot]), kOutgoing + slot * 8);
    }
    return text;
}

}  // namespace trapline::ring0
