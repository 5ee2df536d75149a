// SPDX-License-Identifier: Apache-2.0
// Section numbers are those of the SARIF 2.1.0 standard.
#include "reports/sarif.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <tuple>
#include <vector>

#include "reports/json_document.h"
#include "reports/tally.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

/// The largest integer that every JSON reader keeps (RFC 7493, 2.2).
constexpr std::uint64_t kLargestInteger = (std::uint64_t{1} << 53) - 1;

/// A form met in the document, and what its rule says. Tags may differ between modes: the rule lists all it met.
struct Rule {
    const Finding* example = nullptr;
    std::vector<std::string> tags;
    std::string_view level = "note";
};

int rank(std::string_view level) { return level == "error" ? 2 : level == "warning" ? 1 : 0; }

std::vector<std::string> tags_of(const Finding& finding) {
    std::vector<std::string> tags;
    if (finding.critical) tags.push_back("critical");
    if (finding.privileged != "no") tags.push_back(finding.privileged == "yes" ? "privileged" : finding.privileged);
    if (finding.control_sensitive) tags.push_back("control-sensitive");
    if (finding.behavior_sensitive != "no") tags.push_back("behavior-sensitive:" + finding.behavior_sensitive);
    return tags;
}

std::map<std::string_view, Rule> collect_rules(const ScanDocument& document) {
    std::map<std::string_view, Rule> rules;
    for (const Finding& finding : document.findings) {
        Rule& rule = rules[finding.form];
        if (rule.example == nullptr) rule.example = &finding;
        if (rank(sarif_level(finding)) > rank(rule.level)) rule.level = sarif_level(finding);
        for (const std::string& tag : tags_of(finding))
            if (std::find(rule.tags.begin(), rule.tags.end(), tag) == rule.tags.end()) rule.tags.push_back(tag);
    }
    return rules;
}

Json text_message(const std::string& text) { return {{"text", text}}; }

Json rule_to_json(std::string_view form, const Rule& rule) {
    const std::string& mnemonic = rule.example->mnemonic;
    return {{"id", form},
            {"shortDescription", text_message(fmt::format("{} ({}): {}", mnemonic, form, fmt::join(rule.tags, ", ")))},
            {"help", text_message(fmt::format("`trapline isa show {}` gives the instruction's effects, the derivation of these tags and its sources.", form))},
            {"defaultConfiguration", {{"level", rule.level}}},
            {"properties", {{"tags", rule.tags}, {"mnemonic", mnemonic}, {"family", rule.example->family}}}};
}

std::string result_text(const Finding& finding, std::string_view profile) {
    std::string what;
    if (finding.critical) {
        what = is_conditional(finding) ? fmt::format("is sensitive, and traps only where {} makes it, which profile {} does not", finding.privileged.substr(5), profile)
                                       : "is sensitive and does not trap";
    } else if (finding.privileged == "yes") {
        what = "traps in user mode";
    } else if (is_conditional(finding)) {
        what = is_sensitive(finding) ? fmt::format("traps because profile {} sets {}", profile, finding.privileged.substr(5))
                                     : fmt::format("traps only where {} makes it", finding.privileged.substr(5));
    } else {
        what = "is neither sensitive nor privileged";
    }
    std::string where;
    if (!finding.symbol.empty()) where = fmt::format(" in {}+0x{:x}", finding.symbol, finding.symbol_offset);
    return fmt::format("`{}` {}{}; evidence: {}.", finding.text, what, where, to_string(finding.evidence));
}

/// The files that findings have offsets in: the image, or each part of a bzImage. Index: place in run.artifacts.
class Artifacts {
public:
    explicit Artifacts(const ScanDocument& document) : document_(document) {
        for (const SectionSummary& section : document.sections) add(section.part);
        for (const Finding& finding : document.findings) add(finding.part);
        if (parts_.empty()) add("");
    }
    Json location(std::string_view part) const { return {{"uri", uri(part)}, {"index", index_.find(part)->second}}; }
    Json list() const {
        Json artifacts = Json::array();
        for (const std::string_view part : parts_) {
            Json artifact = {{"location", {{"uri", uri(part)}}}, {"roles", {"analysisTarget"}}};
            artifact["description"] = text_message(fmt::format("{}{}{} ({}, {}); byte offsets are those of this file, unpacked", document_.image, part.empty() ? "" : "!", part,
                                                               document_.format, document_.architecture));
            // The document's hash and size are those of the payload where there are parts (merge_parts).
            if (part.empty() || part == "payload") {
                if (document_.size <= kLargestInteger) artifact["length"] = document_.size;
                if (!document_.sha256.empty()) artifact["hashes"] = {{"sha-256", document_.sha256}};
            }
            artifacts.push_back(std::move(artifact));
        }
        return artifacts;
    }

private:
    void add(std::string_view part) {
        if (index_.try_emplace(part, parts_.size()).second) parts_.push_back(part);
    }
    std::string uri(std::string_view part) const { return uri_reference(part.empty() ? document_.image : document_.image + "!" + std::string(part)); }

    const ScanDocument& document_;
    std::vector<std::string_view> parts_;
    std::map<std::string_view, std::size_t> index_;
};

/// What the findings of one run refer to.
struct RunContext {
    explicit RunContext(const ScanDocument& d) : document(d), sections(d), artifacts(d) {}
    const ScanDocument& document;
    SectionLookup sections;
    Artifacts artifacts;
};

Json address_to_json(const RunContext& run, const Finding& finding) {
    const ScanDocument& document = run.document;
    Json address = {{"kind", "instruction"}, {"length", finding.bytes.size()}};
    // The name is what people see; parent and offset are what tools compute with (3.32.13: both or neither).
    address["fullyQualifiedName"] = document.relocatable ? finding.section + "+" + hex_address(finding.address) : hex_address(finding.address);
    if (const auto parent = run.sections.find(finding)) {
        const std::uint64_t offset = finding.address - document.sections[*parent].address;
        if (offset <= kLargestInteger) {
            address["parentIndex"] = *parent;
            address["offsetFromParent"] = offset;
        }
    }
    if (!document.relocatable && finding.address <= kLargestInteger) address["absoluteAddress"] = finding.address;
    return address;
}

Json section_address_to_json(const ScanDocument& document, std::size_t index) {
    const SectionSummary& section = document.sections[index];
    Json address = {{"kind", "section"}, {"name", section_label(section.part, section.name)}, {"index", index}};
    if (section.size <= kLargestInteger) address["length"] = section.size;
    if (!document.relocatable) {
        address["fullyQualifiedName"] = hex_address(section.address);
        if (section.address <= kLargestInteger) address["absoluteAddress"] = section.address;
    }
    return address;
}

/// FNV-1a, 64 bits: a fingerprint is compared, never trusted, and must be the same on every machine.
std::string fingerprint(std::initializer_list<std::string_view> parts) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    const auto mix = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3u; };
    for (const std::string_view part : parts) {
        for (const char c : part) mix(static_cast<std::uint8_t>(c));
        mix(0);
    }
    return fmt::format("{:016x}", hash);
}

Json location_to_json(const RunContext& run, const Finding& finding) {
    Json physical = {{"artifactLocation", run.artifacts.location(finding.part)}};
    if (finding.file_offset <= kLargestInteger) physical["region"] = {{"byteOffset", finding.file_offset}, {"byteLength", finding.bytes.size()}};
    physical["address"] = address_to_json(run, finding);
    Json location = {{"physicalLocation", std::move(physical)}};
    if (!finding.symbol.empty())
        location["logicalLocations"] = Json::array({{{"name", finding.symbol}, {"fullyQualifiedName", section_label(finding.part, finding.section) + ":" + finding.symbol}, {"kind", "function"}}});
    return location;
}

Json result_to_json(const RunContext& run, const Finding& finding, std::size_t rule, std::uint64_t ordinal) {
    Json properties = {{"address", hex_address(finding.address)}, {"section", section_label(finding.part, finding.section)}, {"evidence", to_string(finding.evidence)},
                       {"mode", finding.decode_mode}, {"bytes", to_hex(finding.bytes)}, {"tags", tags_of(finding)}};
    if (!finding.context.empty()) {
        Json context = Json::array();
        for (const FindingContext& item : finding.context) context.push_back(item.detail.empty() ? item.kind : item.kind + " " + item.detail);
        properties["context"] = std::move(context);
    }
    Json result = {{"ruleId", finding.form},
                   {"ruleIndex", rule},
                   {"level", sarif_level(finding)},
                   {"message", text_message(result_text(finding, run.document.profile))},
                   {"locations", Json::array({location_to_json(run, finding)})},
                   {"partialFingerprints", {{"traplineSite/v1", fingerprint({finding.part, finding.section, finding.symbol, finding.form, std::to_string(ordinal)})}}},
                   {"properties", std::move(properties)}};
    if (!finding.source_file.empty()) {
        Json source = {{"artifactLocation", {{"uri", uri_reference(finding.source_file)}}}};
        if (finding.source_line > 0) source["region"] = {{"startLine", finding.source_line}};
        result["relatedLocations"] = Json::array({{{"physicalLocation", std::move(source)}, {"message", text_message("source line")}}});
    }
    return result;
}

Json invocation_to_json(const ScanDocument& document) {
    Json invocation = {{"executionSuccessful", true}};
    Json notifications = Json::array();
    for (const std::string& note : document.notes) notifications.push_back({{"level", "note"}, {"message", text_message(note)}});
    if (!notifications.empty()) invocation["toolExecutionNotifications"] = std::move(notifications);
    return invocation;
}

void write_run(const ScanDocument& document, const Sink& sink) {
    const std::map<std::string_view, Rule> rules = collect_rules(document);
    std::map<std::string_view, std::size_t> rule_index;
    Json rule_list = Json::array();
    for (const auto& [form, rule] : rules) {
        rule_index[form] = rule_list.size();
        rule_list.push_back(rule_to_json(form, rule));
    }
    const Json tool = {{"driver",
                        {{"name", "trapline"},
                         {"version", document.program_version},
                         {"shortDescription", text_message("Popek-Goldberg analysis of x86 kernel images")},
                         {"rules", std::move(rule_list)},
                         {"properties", {{"profile", document.profile}, {"databaseVersion", document.database_version}, {"overrides", document.overrides}}}}}};
    const RunContext run(document);
    Json addresses = Json::array();
    for (std::size_t i = 0; i < document.sections.size(); ++i) addresses.push_back(section_address_to_json(document, i));

    sink("{\"tool\": " + one_line(tool) + ",\n");
    sink("\"invocations\": [" + one_line(invocation_to_json(document)) + "],\n");
    sink("\"artifacts\":  " + one_line(run.artifacts.list()) + ",\n");
    sink("\"addresses\": " + one_line(addresses) + ",\n");
    sink("\"results\": [");
    std::map<std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>, std::uint64_t> ordinals;
    bool first = true;
    for (const Finding& finding : document.findings) {
        const std::uint64_t ordinal = ordinals[{finding.part, finding.section, finding.symbol, finding.form}]++;
        sink((first ? "\n" : ",\n") + one_line(result_to_json(run, finding, rule_index[finding.form], ordinal)));
        first = false;
    }
    sink("]}");
}

}  // namespace

std::string_view sarif_level(const Finding& finding) {
    if (finding.critical) return "error";
    if (is_conditional(finding) && !traps(finding)) return "warning";
    return "note";
}

void write_sarif(std::span<const ScanDocument> documents, const Sink& sink) {
    sink("{\"$schema\": \"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json\",\n\"version\": \"2.1.0\",\n\"runs\": [");
    for (std::size_t i = 0; i < documents.size(); ++i) {
        if (i > 0) sink(",\n");
        write_run(documents[i], sink);
    }
    sink("]}\n");
}

std::string render_sarif(const ScanDocument& document) {
    return collect([&](const Sink& sink) { write_sarif(std::span(&document, 1), sink); });
}

}  // namespace trapline::reports
