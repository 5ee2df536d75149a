// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/plan.json.
#include "reports/plan_json.h"

#include <fmt/format.h>

#include "reports/finding_json.h"
#include "reports/json_document.h"
#include "reports/scan_members.h"
#include "reports/tally.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

Json site_to_json(const PlannedSite& site) {
    return {{"address", hex_address(site.address)},
            {"part", site.part},
            {"section", site.section},
            {"symbol", site.symbol},
            {"symbol_offset", site.symbol_offset},
            {"source", source_to_json(site.source_file, site.source_line)},
            {"bytes", to_hex(site.bytes)},
            {"text", site.text},
            {"mnemonic", site.mnemonic},
            {"form", site.form},
            {"critical", site.critical},
            {"evidence", to_string(site.evidence)},
            {"operation", site.operation},
            {"technique", to_string(site.technique)},
            {"why", site.why}};
}

PlannedSite site_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    PlannedSite site;
    ObjectReader reader(value, pointer, name, status);
    reader.read_address("address", site.address);
    reader.read("part", site.part);
    reader.read("section", site.section);
    reader.read("symbol", site.symbol);
    reader.read("symbol_offset", site.symbol_offset);
    read_source(reader, name, status, site.source_file, site.source_line);
    reader.read_bytes("bytes", site.bytes);
    reader.read("text", site.text);
    reader.read("mnemonic", site.mnemonic);
    reader.read("form", site.form);
    reader.read("critical", site.critical);
    read_evidence(reader, site.evidence);
    reader.read("operation", site.operation);
    std::string technique;
    std::vector<std::string_view> techniques;
    for (const Technique candidate : kAllTechniques) techniques.push_back(to_string(candidate));
    reader.read_word("technique", technique, techniques);
    site.technique = parse_technique(technique).value_or(Technique::unplanned);
    reader.read("why", site.why);
    reader.finish();
    return site;
}

std::uint64_t count_of(const std::map<Technique, std::uint64_t>& counts, Technique key) {
    const auto found = counts.find(key);
    return found == counts.end() ? 0 : found->second;
}

}  // namespace

void write_plan_json(const PlanDocument& plan, const Sink& sink) {
    const PlanTally counts = tally(plan);
    Json techniques = Json::object();
    for (const auto& [technique, count] : counts.techniques) techniques[std::string(to_string(technique))] = count;
    DocumentWriter out(sink);
    out.member("schema", kPlanSchema);
    out.member("program_version", plan.program_version);
    out.member("database_version", plan.database_version);
    out.member("profile", plan.profile);
    out.member("image", {{"name", plan.image}, {"sha256", plan.sha256}, {"build_id", plan.build_id}});
    out.member("totals", {{"sites", plan.sites.size()},
                          {"critical", counts.critical},
                          {"unplanned", count_of(counts.techniques, Technique::unplanned)},
                          {"unplanned_critical", counts.left_critical},
                          {"by_technique", std::move(techniques)}});
    out.list("sites", plan.sites.size(), [&](std::size_t i) { return site_to_json(plan.sites[i]); });
    out.end();
}

std::string render_plan_json(const PlanDocument& plan) {
    return collect([&](const Sink& sink) { write_plan_json(plan, sink); });
}

Result<PlanDocument> parse_plan_json(std::string_view text, const std::string& name) {
    const Result<Json> json = parse_json(text, name);
    if (!json) return tl::unexpected(json.error());
    PlanDocument plan;
    Status status;
    ObjectReader reader(*json, "", name, status);
    read_schema(reader, kPlanSchema);
    reader.read("program_version", plan.program_version);
    reader.read("database_version", plan.database_version);
    reader.read("profile", plan.profile);
    if (const Json* value = reader.object("image")) {
        ObjectReader image(*value, "/image", name, status);
        image.read("name", plan.image);
        image.read("sha256", plan.sha256);
        image.read("build_id", plan.build_id);
        image.finish();
    }
    const Json* sites = reader.array("sites");
    for (std::size_t i = 0; sites != nullptr && i < sites->size() && status; ++i) {
        plan.sites.push_back(site_from_json((*sites)[i], fmt::format("/sites/{}", i), name, status));
        ++plan.by_technique[std::string(to_string(plan.sites.back().technique))];
    }
    if (const Json* value = reader.object("totals")) {
        ObjectReader totals(*value, "/totals", name, status);
        const PlanTally counts = tally(plan);
        const std::pair<std::string_view, std::uint64_t> expected[] = {{"sites", plan.sites.size()},
                                                                       {"critical", counts.critical},
                                                                       {"unplanned", count_of(counts.techniques, Technique::unplanned)},
                                                                       {"unplanned_critical", counts.left_critical}};
        for (const auto& [key, count] : expected) {
            std::uint64_t found = 0;
            totals.read(key, found);
            if (found != count)
                totals.refuse(key, fmt::format("found {}, expected {} from the sites", found, count), ErrorCode::inconsistent);
        }
        totals.object("by_technique");
        totals.finish();
    }
    reader.finish();
    if (!status) return tl::unexpected(status.error());
    return plan;
}

}  // namespace trapline::reports
