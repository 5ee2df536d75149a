// SPDX-License-Identifier: Apache-2.0
// Renderings of a verification: text for people, JSON for programs.
#include "cli/verify_isa_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "support/bytes.h"

namespace trapline::cli {

namespace {

using executor::Agreement;
using executor::CheckedExample;
using executor::CheckedMap;
using executor::Judgement;
using executor::SlotFinding;
using Json = nlohmann::ordered_json;

constexpr Agreement kAgreements[] = {Agreement::confirmed, Agreement::explained, Agreement::not_confirmable, Agreement::unexplained};

std::string_view setting_text(std::uint8_t setting) {
    if (setting == executor::kSettingTsd) return "CR4.TSD set";
    if (setting == executor::kSettingCpuidFault) return "CPUID faulting on";
    return "";
}

/// In JSON, agreements are words without blanks.
std::string agreement_key(Agreement agreement) {
    std::string out(to_string(agreement));
    std::replace(out.begin(), out.end(), ' ', '_');
    return out;
}

/// Slots in hex with ModRM and SIB, as they were tried.
std::string slot_bytes(const SlotFinding& finding) { return to_hex(finding.slot.bytes); }

using Counts = std::map<std::pair<Agreement, std::string>, std::size_t>;

Counts count_examples(const std::vector<CheckedExample>& examples) {
    Counts out;
    for (const CheckedExample& example : examples) ++out[{example.judgement.agreement, example.judgement.reason}];
    return out;
}

void append_counts(std::string& out, const Counts& counts) {
    for (const Agreement agreement : kAgreements) {
        std::vector<std::pair<std::size_t, std::string>> reasons;
        std::size_t total = 0;
        for (const auto& [key, count] : counts) {
            if (key.first != agreement) continue;
            reasons.emplace_back(count, key.second);
            total += count;
        }
        out += fmt::format("  {:16} {:>7}\n", to_string(agreement), total);
        if (agreement == Agreement::unexplained) continue;
        std::stable_sort(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
        for (const auto& [count, reason] : reasons) out += fmt::format("  {:>24}  {}\n", count, reason);
    }
}

void append_host(std::string& out, const IsaVerification& v) {
    const executor::CpuIdentity& cpu = v.host.cpu;
    std::size_t present = 0;
    for (const auto& [name, there] : v.host.features.all()) present += there;
    out += fmt::format("{}, family {} model {} stepping {}{}; {} of {} features that forms need\n", cpu.vendor_text, cpu.family, cpu.model, cpu.stepping,
                       cpu.hypervisor ? ", under a hypervisor" : "", present, v.host.features.all().size());
    out += fmt::format("database {}; {} experiments; 16-bit code {}, CR4.TSD {}, CPUID faulting {}\n", v.database_version, v.experiments,
                       v.abilities.code16 ? "by modify_ldt" : "not to be had", v.abilities.tsd ? "both ways" : "as it is", v.abilities.cpuid_fault ? "both ways" : "as it is");
    out += "UMIP, least time in TSC ticks against LAR:";
    for (const executor::UmipTiming& timing : v.umip)
        out += fmt::format(" {} {}{}", timing.mnemonic, timing.ticks == 0 ? "faults" : fmt::format("{}", timing.ticks), timing.trapped() ? " (trapped)" : "");
    out += fmt::format("; LAR {}\n", v.umip.empty() ? 0 : v.umip.front().lar_ticks);
}

Json judgement_json(const Judgement& judgement) { return {{"agreement", agreement_key(judgement.agreement)}, {"reason", judgement.reason}}; }

Json seen_json(const executor::Tally& seen) {
    Json out = Json::array();
    for (const auto& [outcome, count] : seen.rows) out.push_back({{"outcome", outcome.word()}, {"count", count}});
    return out;
}

Json counts_json(const Counts& counts) {
    Json out = Json::array();
    for (const auto& [key, count] : counts) out.push_back({{"agreement", agreement_key(key.first)}, {"reason", key.second}, {"count", count}});
    return out;
}

Json host_json(const IsaVerification& v) {
    const executor::CpuIdentity& cpu = v.host.cpu;
    Json features = Json::array(), absent = Json::array(), state = Json::array(), umip = Json::array();
    for (const auto& [name, there] : v.host.features.all()) (there ? features : absent).push_back(name);
    for (const executor::KnownAtom& atom : v.host.state) state.push_back({{"atom", atom.atom}, {"value", atom.value}, {"how", atom.how}});
    for (const executor::UmipTiming& t : v.umip) umip.push_back({{"mnemonic", t.mnemonic}, {"ticks", t.ticks}, {"lar_ticks", t.lar_ticks}, {"trapped", t.trapped()}});
    return {{"vendor", cpu.vendor_text}, {"brand", cpu.brand}, {"family", cpu.family}, {"model", cpu.model}, {"stepping", cpu.stepping}, {"hypervisor", cpu.hypervisor},
            {"code16", v.abilities.code16}, {"tsd", v.abilities.tsd}, {"cpuid_fault", v.abilities.cpuid_fault},
            {"features", features}, {"absent_features", absent}, {"state", state}, {"umip", umip}};
}

Json finding_json(const SlotFinding& finding) {
    return {{"mode", to_string(finding.slot.mode)}, {"bytes", slot_bytes(finding)}, {"name", finding.name}, {"judgement", judgement_json(finding.judgement)}, {"seen", seen_json(finding.seen)}};
}

Json map_json(const CheckedMap& map) {
    Json unexplained = Json::array(), explained = Json::array();
    for (const SlotFinding& finding : map.unexplained) unexplained.push_back(finding_json(finding));
    for (const SlotFinding& finding : map.explained) explained.push_back(finding_json(finding));
    return {{"map", isa::to_string(map.map)}, {"cases", map.cases}, {"counts", counts_json(map.counts)}, {"unexplained", unexplained}, {"explained", explained}};
}

Json example_json(const CheckedExample& checked) {
    return {{"form", checked.record->id}, {"mode", to_string(checked.example->mode)}, {"bytes", to_hex(checked.example->bytes)}, {"text", checked.example->text},
            {"setting", setting_text(checked.setting)}, {"expected", checked.expected}, {"judgement", judgement_json(checked.judgement)}, {"seen", seen_json(checked.seen)}};
}

}  // namespace

bool IsaVerification::has_findings() const {
    return !unused_rows.empty() || std::any_of(maps.begin(), maps.end(), [](const CheckedMap& map) { return !map.unexplained.empty(); }) ||
           std::any_of(examples.begin(), examples.end(), [](const CheckedExample& e) { return e.judgement.agreement == Agreement::unexplained; });
}

std::string verification_text(const IsaVerification& v) {
    std::string out;
    append_host(out, v);
    if (!v.examples.empty()) {
        out += fmt::format("\nExamples: {}\n", v.examples.size());
        append_counts(out, count_examples(v.examples));
        for (const CheckedExample& e : v.examples) {
            if (e.judgement.agreement != Agreement::unexplained) continue;
            out += fmt::format("    {} {} {} \"{}\"{}{}: seen: {}. {}\n", e.record->id, to_string(e.example->mode), to_hex(e.example->bytes), e.example->text, e.setting != 0 ? " with " : "",
                               setting_text(e.setting), e.seen.text(), e.judgement.reason);
        }
    }
    for (const CheckedMap& map : v.maps) {
        out += fmt::format("\nMap {}: {} encodings\n", isa::to_string(map.map), map.cases);
        append_counts(out, map.counts);
        for (const SlotFinding& finding : map.unexplained)
            out += fmt::format("    {} {} {}: seen: {}. {}\n", to_string(finding.slot.mode), slot_bytes(finding), finding.name.empty() ? "(hole)" : finding.name, finding.seen.text(),
                               finding.judgement.reason);
    }
    for (const std::string& row : v.unused_rows) out += fmt::format("\nExclusion that explains nothing any more: {}\n", row);
    return out;
}

std::string verification_json(const IsaVerification& v) {
    Json document = {{"schema", "trapline.verify-isa/1"}, {"database_version", v.database_version}, {"experiments", v.experiments}, {"host", host_json(v)},
                     {"counts", counts_json(count_examples(v.examples))}, {"examples", Json::array()}, {"maps", Json::array()}, {"unused_exclusions", v.unused_rows}};
    for (const CheckedExample& checked : v.examples) document["examples"].push_back(example_json(checked));
    for (const CheckedMap& map : v.maps) document["maps"].push_back(map_json(map));
    return document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace trapline::cli
