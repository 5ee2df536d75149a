// SPDX-License-Identifier: Apache-2.0
// Sites, and what they share with the rest. Must match `site` in reports/schema/plan.json.
#include <algorithm>
#include <fmt/format.h>

#include "reports/finding_json.h"
#include "reports/plan_members.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

constexpr std::size_t kLongestInstruction = 15;
constexpr std::size_t kSha256Digits = 64;

Json refusal_to_json(const Refusal& refusal) { return {{"technique", to_string(refusal.technique)}, {"reason", refusal.reason}}; }

Refusal refusal_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    Refusal refusal;
    ObjectReader reader(value, pointer, name, status);
    read_technique(reader, "technique", refusal.technique);
    reader.read("reason", refusal.reason);
    reader.finish();
    return refusal;
}

void read_flags(ObjectReader& reader, FlagsLiveness& flags) {
    std::string word;
    std::vector<std::string_view> allowed;
    for (const FlagsLiveness candidate : kAllFlagsLiveness) allowed.push_back(to_string(candidate));
    reader.read_word("flags", word, allowed);
    flags = parse_flags_liveness(word).value_or(FlagsLiveness::unknown);
}

}  // namespace

void read_technique(ObjectReader& reader, std::string_view key, Technique& technique) {
    std::string word;
    std::vector<std::string_view> allowed;
    for (const Technique candidate : kAllTechniques) allowed.push_back(to_string(candidate));
    reader.read_word(key, word, allowed);
    technique = parse_technique(word).value_or(Technique::unplanned);
}

void read_sha256(ObjectReader& reader, std::string& sha256) {
    reader.read("sha256", sha256);
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (!sha256.empty() && (sha256.size() != kSha256Digits || !std::all_of(sha256.begin(), sha256.end(), is_digit)))
        reader.refuse("sha256", fmt::format("found \"{}\", expected 64 lower-case hex digits", fitted(printable(sha256), 70)));
}

Json site_to_json(const PlannedSite& site) {
    return {{"number", site.number},
            {"address", hex_address(site.address)},
            {"file_offset", site.file_offset},
            {"part", site.part},
            {"section", site.section},
            {"symbol", site.symbol},
            {"symbol_offset", site.symbol_offset},
            {"source", source_to_json(site.source_file, site.source_line)},
            {"decode_mode", site.mode},
            {"bytes", to_hex(site.bytes)},
            {"text", site.text},
            {"mnemonic", site.mnemonic},
            {"form", site.form},
            {"privileged", site.privileged},
            {"critical", site.critical},
            {"evidence", to_string(site.evidence)},
            {"operation", site.operation},
            {"call", site.call},
            {"technique", to_string(site.technique)},
            {"fallback", to_string(site.fallback)},
            {"why", site.why},
            {"refused", list_to_json(site.refused, refusal_to_json)},
            {"patch", site.patch ? Json(*site.patch) : Json(nullptr)},
            {"resume", site.resume == 0 ? Json(nullptr) : Json(hex_address(site.resume))},
            {"clobbers", site.clobbers},
            {"flags", to_string(site.flags)},
            {"cycles_trap", site.cycles_trap},
            {"cycles", site.cycles},
            {"executions", site.executions}};
}

PlannedSite site_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    PlannedSite site;
    ObjectReader reader(value, pointer, name, status);
    reader.read("number", site.number);
    reader.read_address("address", site.address);
    reader.read("file_offset", site.file_offset);
    reader.read("part", site.part);
    reader.read("section", site.section);
    reader.read("symbol", site.symbol);
    reader.read("symbol_offset", site.symbol_offset);
    read_source(reader, name, status, site.source_file, site.source_line);
    reader.read_word("decode_mode", site.mode, {"16r", "16p", "32", "64"});
    reader.read_bytes("bytes", site.bytes);
    if (reader.ok() && (site.bytes.empty() || site.bytes.size() > kLongestInstruction))
        reader.refuse("bytes", fmt::format("found {} bytes, expected the 1 to 15 of an instruction", site.bytes.size()));
    reader.read("text", site.text);
    reader.read("mnemonic", site.mnemonic);
    reader.read("form", site.form);
    read_privileged(reader, site.privileged);
    reader.read("critical", site.critical);
    read_evidence(reader, site.evidence, EvidenceOf::plan);
    reader.read("operation", site.operation);
    reader.read("call", site.call);
    read_technique(reader, "technique", site.technique);
    read_technique(reader, "fallback", site.fallback);
    reader.read("why", site.why);
    read_list(reader, "refused", name, status, site.refused, refusal_from_json);
    if (reader.has_value("patch")) {
        std::uint32_t patch = 0;
        reader.read("patch", patch);
        site.patch = patch;
    }
    if (reader.has_value("resume")) reader.read_address("resume", site.resume);
    reader.read("clobbers", site.clobbers);
    read_flags(reader, site.flags);
    reader.read("cycles_trap", site.cycles_trap);
    reader.read("cycles", site.cycles);
    reader.read("executions", site.executions);
    reader.finish();
    if (reader.ok() && site.critical && site.privileged == "yes")
        reader.refuse("critical", "found true beside privileged \"yes\", expected false", ErrorCode::inconsistent);
    return site;
}

}  // namespace trapline::reports
