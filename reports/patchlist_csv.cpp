// SPDX-License-Identifier: Apache-2.0
// One row at a time.
#include "reports/patchlist_csv.h"

#include <fmt/format.h>

#include "reports/text_encoding.h"

namespace trapline::reports {

void write_patchlist_csv(const PlanDocument& plan, const Sink& sink) {
    sink("address,function,file,line,instruction,operation,technique\n");
    for (const PlannedSite& site : plan.sites) {
        sink(fmt::format("{},{},{},{},{},{},{}\n", hex_address(site.address), csv_field(site.symbol), csv_field(site.source_file),
                         site.source_file.empty() ? std::string() : std::to_string(site.source_line), csv_field(site.text),
                         csv_field(site.operation), csv_field(site.technique)));
    }
}

}  // namespace trapline::reports
