// SPDX-License-Identifier: Apache-2.0
// Parses the whole text a first time: where the schema stands in it is the writer's affair.
#include "reports/document_kind.h"

#include <fmt/format.h>

#include "reports/json_document.h"
#include "reports/plan_json.h"
#include "reports/scan_json.h"
#include "reports/stats_json.h"
#include "reports/text_encoding.h"

namespace trapline::reports {

Result<DocumentKind> find_document_kind(std::string_view text, const std::string& name) {
    const Result<Json> json = parse_json(text, name);
    if (!json) return tl::unexpected(json.error());
    Status status;
    ObjectReader reader(*json, "", name, status);
    std::string schema;
    reader.read("schema", schema);
    if (!status) return tl::unexpected(status.error());
    struct Row {
        std::string_view schema;
        DocumentKind kind;
    };
    constexpr Row kRows[] = {{kScanSchema, DocumentKind::scan}, {kPlanSchema, DocumentKind::plan}, {kStatsSchema, DocumentKind::stats}};
    for (const Row& row : kRows)
        if (std::string_view(schema).starts_with(row.schema.substr(0, row.schema.find('/') + 1))) return row.kind;
    reader.refuse("schema", fmt::format("found \"{}\", expected {}, {} or {}", fitted(printable(schema), 60), kScanSchema, kPlanSchema, kStatsSchema));
    return tl::unexpected(status.error());
}

}  // namespace trapline::reports
