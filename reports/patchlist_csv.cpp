// SPDX-License-Identifier: Apache-2.0
// One row at a time.
#include "reports/patchlist_csv.h"

#include <fmt/format.h>

#include "reports/text_encoding.h"

namespace trapline::reports {

namespace {

// Where no symbol covers a site, its part and section tell it from a site of another part at the same address.
std::string function_of(const PlannedSite& site) {
    if (!site.symbol.empty()) return site.symbol;
    return "(" + (site.part.empty() ? site.section : site.part + ":" + site.section) + ")";
}

}  // namespace

void write_patchlist_csv(const PlanDocument& plan, const Sink& sink) {
    sink("address,function,file,line,instruction,operation,technique\n");
    for (const PlannedSite& site : plan.sites) {
        sink(fmt::format("{},{},{},{},{},{},{}\n", hex_address(site.address), csv_field(function_of(site)), csv_field(site.source_file),
                         site.source_file.empty() ? std::string() : std::to_string(site.source_line), csv_field(site.text),
                         csv_field(site.operation), to_string(site.technique)));
    }
}

}  // namespace trapline::reports
