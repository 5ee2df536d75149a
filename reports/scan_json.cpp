// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/scan.json and error.json.
#include "reports/scan_json.h"

#include <fmt/format.h>

#include "reports/finding_json.h"
#include "reports/json_document.h"
#include "reports/scan_members.h"
#include "reports/tally.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

Json section_to_json(const SectionSummary& section) {
    return {{"part", section.part},
            {"name", section.name},
            {"address", hex_address(section.address)},
            {"size", section.size},
            {"instructions", section.instructions},
            {"padding_bytes", section.padding_bytes},
            {"undecodable_bytes", section.undecodable_bytes},
            {"reached_bytes", section.reached_bytes},
            {"straddling_bytes", section.straddling_bytes}};
}

Json evidence_to_json(const EvidenceCounts& counts) {
    return {{"reached", counts.reached}, {"swept", counts.swept}, {"hidden", counts.hidden}};
}

Json totals_to_json(const Tally& tally) {
    Json by_mnemonic = Json::object();
    for (const MnemonicCount& mnemonic : tally.mnemonics) by_mnemonic[mnemonic.mnemonic] = mnemonic.critical.total();
    Json conditional = Json::object();
    for (const auto& [token, count] : tally.conditional) conditional[token] = count;
    return {{"findings", tally.findings},
            {"critical", tally.critical.total()},
            {"privileged", tally.privileged_always},
            {"conditional", std::move(conditional)},
            {"control_sensitive", tally.sets.control.sites},
            {"behavior_sensitive", {{"mode", tally.behavior_mode}, {"location", tally.behavior_location}, {"both", tally.behavior_both}}},
            {"evidence", evidence_to_json(tally.all)},
            {"critical_evidence", evidence_to_json(tally.critical)},
            {"critical_by_mnemonic", std::move(by_mnemonic)},
            {"disagreements", tally.disagreeing_findings}};
}

SectionSummary section_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    SectionSummary section;
    ObjectReader reader(value, pointer, name, status);
    reader.read("part", section.part);
    reader.read("name", section.name);
    reader.read_address("address", section.address);
    reader.read("size", section.size);
    reader.read("instructions", section.instructions);
    reader.read("padding_bytes", section.padding_bytes);
    reader.read("undecodable_bytes", section.undecodable_bytes);
    reader.read("reached_bytes", section.reached_bytes);
    reader.read("straddling_bytes", section.straddling_bytes);
    reader.finish();
    return section;
}

void read_mnemonics(const Json& value, const std::string& name, Status& status, ScanDocument& document) {
    ObjectReader reader(value, "/mnemonics", name, status);
    for (const auto& [mnemonic, count] : value.items()) reader.read(mnemonic, document.all_mnemonics[mnemonic]);
}

/// Totals are derived, so they only say whether the findings are all there.
void check_totals(ObjectReader& reader, const ScanDocument& document) {
    const Json* totals = reader.object("totals");
    if (totals == nullptr) return;
    const Json expected = totals_to_json(tally(document));
    for (const auto& [key, value] : expected.items()) {
        const auto found = totals->find(key);
        if (found == totals->end()) return reader.refuse("totals", fmt::format("found no member \"{}\", expected {}", key, one_line(value)));
        // Order of members does not count: compare as unordered objects.
        if (nlohmann::json::parse(one_line(*found)) != nlohmann::json::parse(one_line(value)))
            return reader.refuse("totals", fmt::format("found {} {}, expected {} from the findings", key, fitted(printable(one_line(*found)), 60),
                                                       fitted(printable(one_line(value)), 60)), ErrorCode::inconsistent);
    }
}

}  // namespace

Json image_to_json(const ScanDocument& document) {
    return {{"name", document.image},
            {"format", document.format},
            {"architecture", document.architecture},
            {"sha256", document.sha256},
            {"build_id", document.build_id},
            {"size", document.size},
            {"relocatable", document.relocatable},
            {"wrappers", document.wrappers},
            {"symbol_source", document.symbol_source}};
}

void write_scan_json(const ScanDocument& document, const Sink& sink) {
    DocumentWriter out(sink);
    out.member("schema", kScanSchema);
    out.member("program_version", document.program_version);
    out.member("database_version", document.database_version);
    out.member("profile", document.profile);
    out.member("overrides", document.overrides);
    out.member("image", image_to_json(document));
    out.member("totals", totals_to_json(tally(document)));
    out.list("sections", document.sections.size(), [&](std::size_t i) { return section_to_json(document.sections[i]); });
    out.list("notes", document.notes.size(), [&](std::size_t i) { return Json(document.notes[i]); });
    if (!document.all_mnemonics.empty()) {
        Json mnemonics = Json::object();
        for (const auto& [mnemonic, count] : document.all_mnemonics) mnemonics[mnemonic] = count;
        out.member("mnemonics", mnemonics);
    }
    out.list_of_texts("findings", document.findings.size(), [&](std::size_t i) { return finding_json(document.findings[i]); });
    out.end();
}

std::string render_scan_json(const ScanDocument& document) {
    return collect([&](const Sink& sink) { write_scan_json(document, sink); });
}

void read_schema(ObjectReader& reader, std::string_view expected, std::string_view command) {
    std::string schema;
    reader.read("schema", schema);
    if (!reader.ok() || schema == expected) return;
    const std::size_t stem = expected.find('/') + 1;
    const bool other_major = std::string_view(schema).starts_with(expected.substr(0, stem));
    std::string remedy;
    if (other_major) {
        // The versions are small: of a longer number, or of none, only the digits decide.
        const std::string_view version = std::string_view(schema).substr(stem), known = expected.substr(stem);
        const bool newer = version.size() > known.size() || (version.size() == known.size() && version > known);
        remedy = fmt::format("; {} version of the program wrote it: {}make it again with this one (`{}`)", newer ? "a newer" : "an older",
                             newer ? "read it with that version, or " : "", command);
    }
    reader.refuse("schema", fmt::format("found \"{}\", expected \"{}\"{}", fitted(printable(schema), 60), expected, remedy),
                  other_major ? ErrorCode::unsupported : ErrorCode::malformed);
}

Result<ScanDocument> parse_scan_json(std::string_view text, const std::string& name) {
    const Result<Json> json = parse_json(text, name);
    if (!json) return tl::unexpected(json.error());
    ScanDocument document;
    Status status;
    ObjectReader reader(*json, "", name, status);
    read_schema(reader, kScanSchema, "trapline scan --format json");
    reader.read("program_version", document.program_version);
    reader.read("database_version", document.database_version);
    reader.read("profile", document.profile);
    reader.read("overrides", document.overrides);
    if (const Json* value = reader.object("image")) {
        ObjectReader image(*value, "/image", name, status);
        image.read("name", document.image);
        image.read("format", document.format);
        image.read("architecture", document.architecture);
        image.read("sha256", document.sha256);
        image.read("build_id", document.build_id);
        image.read("size", document.size);
        image.read("relocatable", document.relocatable);
        image.read("wrappers", document.wrappers);
        image.read("symbol_source", document.symbol_source);
        image.finish();
    }
    const Json* sections = reader.array("sections");
    for (std::size_t i = 0; sections != nullptr && i < sections->size() && status; ++i)
        document.sections.push_back(section_from_json((*sections)[i], fmt::format("/sections/{}", i), name, status));
    reader.read("notes", document.notes);
    if (reader.has("mnemonics"))
        if (const Json* mnemonics = reader.object("mnemonics")) read_mnemonics(*mnemonics, name, status, document);
    const Json* findings = reader.array("findings");
    for (std::size_t i = 0; findings != nullptr && i < findings->size() && status; ++i)
        document.findings.push_back(finding_from_json((*findings)[i], fmt::format("/findings/{}", i), name, status));
    if (status) check_totals(reader, document);
    reader.finish();
    if (!status) return tl::unexpected(status.error());
    return document;
}

std::string render_error_json(std::string_view image, const Error& error) {
    const Json document = {{"schema", kErrorSchema},
                           {"image", std::string(image)},
                           {"error",
                            {{"code", to_string(error.code)},
                             {"message", error.message},
                             {"file", error.file},
                             {"offset", error.offset ? Json(*error.offset) : Json(nullptr)},
                             {"pointer", error.pointer}}}};
    return one_line(document) + "\n";
}

}  // namespace trapline::reports
