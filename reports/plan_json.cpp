// SPDX-License-Identifier: Apache-2.0
// The document's frame: what it is for, and its totals. Must match reports/schema/plan.json.
#include "reports/plan_json.h"

#include <fmt/format.h>

#include "reports/json_document.h"
#include "reports/plan_check.h"
#include "reports/plan_members.h"
#include "reports/scan_members.h"
#include "reports/tally.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

Json totals_to_json(const PlanDocument& plan) {
    const PlanTally counts = tally(plan);
    Json techniques = Json::object();
    for (const auto& [technique, count] : counts.techniques) techniques[std::string(to_string(technique))] = count;
    std::uint64_t written = 0, stub_bytes = 0;
    for (const PlanPatch& patch : plan.patches)
        for (const PlanWrite& write : patch.writes) written += write.new_bytes.size();
    for (const PlanStub& stub : plan.stubs) stub_bytes += stub.bytes.size();
    return {{"sites", plan.sites.size()},
            {"critical", counts.critical},
            {"unplanned", counts.left_sites},
            {"unplanned_critical", counts.left_critical},
            {"patches", plan.patches.size()},
            {"written_bytes", written},
            {"stubs", plan.stubs.size()},
            {"stub_bytes", stub_bytes},
            {"by_technique", std::move(techniques)}};
}

/// Totals are derived, so they only say whether everything is there: a plan that was cut or edited shows.
void check_totals(ObjectReader& reader, const PlanDocument& plan, const std::string& name, Status& status) {
    const Json* value = reader.object("totals");
    if (value == nullptr) return;
    ObjectReader totals(*value, "/totals", name, status);
    const auto compare = [&](ObjectReader& counts, std::string_view key, std::uint64_t expected) {
        std::uint64_t found = 0;
        counts.read(key, found);
        if (found != expected) counts.refuse(key, fmt::format("found {}, expected {} from what is listed", found, expected), ErrorCode::inconsistent);
    };
    const Json expected = totals_to_json(plan);
    for (const auto& [key, count] : expected.items())
        if (count.is_number()) compare(totals, key, count.get<std::uint64_t>());
    if (const Json* techniques = totals.object("by_technique")) {
        ObjectReader counts(*techniques, "/totals/by_technique", name, status);
        for (const auto& [key, count] : expected["by_technique"].items()) compare(counts, key, count.get<std::uint64_t>());
        counts.finish();
    }
    totals.finish();
}

}  // namespace

void write_plan_json(const PlanDocument& plan, const Sink& sink) {
    DocumentWriter out(sink);
    out.member("schema", kPlanSchema);
    out.member("program_version", plan.program_version);
    out.member("database_version", plan.database_version);
    out.member("profile", plan.profile);
    out.member("abi", plan.abi);
    out.member("abi_version", plan.abi_version);
    out.member("technique", plan.technique);
    out.member("image", {{"name", plan.image}, {"sha256", plan.sha256}, {"build_id", plan.build_id}});
    out.list("parts", plan.parts.size(), [&](std::size_t i) { return plan_image_to_json(plan.parts[i]); });
    out.list("reserved", plan.reserved.size(), [&](std::size_t i) { return reserved_to_json(plan.reserved[i]); });
    out.member("totals", totals_to_json(plan));
    out.list("notes", plan.notes.size(), [&](std::size_t i) { return Json(plan.notes[i]); });
    out.list("sites", plan.sites.size(), [&](std::size_t i) { return site_to_json(plan.sites[i]); });
    out.list("patches", plan.patches.size(), [&](std::size_t i) { return patch_to_json(plan.patches[i]); });
    out.list("stubs", plan.stubs.size(), [&](std::size_t i) { return stub_to_json(plan.stubs[i]); });
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
    read_schema(reader, kPlanSchema, "trapline plan IMAGE -o FILE");
    reader.read("program_version", plan.program_version);
    reader.read("database_version", plan.database_version);
    reader.read("profile", plan.profile);
    reader.read("abi", plan.abi);
    reader.read("abi_version", plan.abi_version);
    reader.read_word("technique", plan.technique, {"hypercall", "auto"});
    if (const Json* value = reader.object("image")) {
        ObjectReader image(*value, "/image", name, status);
        image.read("name", plan.image);
        read_sha256(image, plan.sha256);
        image.read("build_id", plan.build_id);
        image.finish();
    }
    read_list(reader, "parts", name, status, plan.parts, plan_image_from_json);
    read_list(reader, "reserved", name, status, plan.reserved, reserved_from_json);
    reader.read("notes", plan.notes);
    read_list(reader, "sites", name, status, plan.sites, site_from_json);
    read_list(reader, "patches", name, status, plan.patches, patch_from_json);
    read_list(reader, "stubs", name, status, plan.stubs, stub_from_json);
    for (const PlannedSite& site : plan.sites) ++plan.by_technique[std::string(to_string(site.technique))];
    if (status) check_totals(reader, plan, name, status);
    reader.finish();
    if (status) status = check_plan_document(plan, name);
    if (!status) return tl::unexpected(status.error());
    return plan;
}

}  // namespace trapline::reports
