// SPDX-License-Identifier: Apache-2.0
// Strict in what it reads, silent about the rest.
#include "reports/execution_counts.h"

#include <fmt/format.h>

#include "reports/json_document.h"
#include "reports/plan_members.h"
#include "reports/scan_members.h"
#include "reports/text_encoding.h"

namespace trapline::reports {

Result<ExecutionCounts> parse_execution_counts(std::string_view text, const std::string& name) {
    const Result<Json> json = parse_json(text, name);
    if (!json) return tl::unexpected(json.error());
    ExecutionCounts counts;
    Status status;
    ObjectReader reader(*json, "", name, status);
    read_schema(reader, kStatsSchema, "trapline run --stats FILE");
    if (const Json* value = reader.object("image")) {
        ObjectReader image(*value, "/image", name, status);
        read_sha256(image, counts.sha256);
    }
    const Json* sites = reader.array("sites");
    for (std::size_t i = 0; sites != nullptr && i < sites->size() && status; ++i) {
        ObjectReader site((*sites)[i], fmt::format("/sites/{}", i), name, status);
        std::pair<std::string, std::uint64_t> place;
        std::uint64_t executions = 0;
        site.read("part", place.first);
        site.read_address("address", place.second);
        site.read("executions", executions);
        if (site.ok() && !counts.executions.emplace(place, executions).second)
            site.refuse("address", fmt::format("found {} a second time, expected each site once", hex_address(place.second)), ErrorCode::inconsistent);
    }
    if (!status) return tl::unexpected(status.error());
    return counts;
}

}  // namespace trapline::reports
