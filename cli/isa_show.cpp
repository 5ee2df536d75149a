// SPDX-License-Identifier: Apache-2.0
// trapline isa list and show: forms of the database, records with the derivation of their tags.
#include <fmt/core.h>

#include <algorithm>

#include "cli/isa.h"
#include "support/bytes.h"

namespace trapline::cli {
namespace {

std::string modes_text(ModeSet modes) {
    std::string text;
    for (Mode mode : kAllModes)
        if (modes.contains(mode)) text += (text.empty() ? "" : ",") + std::string(to_string(mode));
    return text;
}

std::string encoding_text(const isa::Encoding& encoding) {
    std::string text;
    if (encoding.requires_lock) text += "LOCK ";
    if (!encoding.prefix.any()) {
        static constexpr std::pair<isa::PrefixSet::Bit, const char*> kNames[] = {
            {isa::PrefixSet::np, "NP"}, {isa::PrefixSet::p66, "66"}, {isa::PrefixSet::f3, "F3"}, {isa::PrefixSet::f2, "F2"}};
        std::string prefixes;
        for (const auto& [bit, name] : kNames)
            if (encoding.prefix.bits & bit) prefixes += (prefixes.empty() ? "" : "|") + std::string(name);
        text += prefixes + " ";
    }
    text += fmt::format("{} {:02X}", isa::to_string(encoding.map), encoding.opcode);
    if (encoding.has_modrm) {
        text += encoding.mod == isa::ModRequirement::memory ? " mem" : encoding.mod == isa::ModRequirement::reg ? " reg" : " r/m";
        if (encoding.reg_mask != 0xFFFF) {
            for (int reg = 0; reg < 16; ++reg)
                if (encoding.reg_mask >> reg & 1) text += fmt::format("/{}", reg);
        }
        for (int rm = 0; encoding.rm_mask != 0xFF && rm < 8; ++rm)
            if (encoding.rm_mask >> rm & 1) text += fmt::format(" rm{}", rm);
    }
    if (encoding.osize != 0) text += fmt::format(" o{}", encoding.osize);
    return text;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : std::string(separator)) + word;
    return text;
}

/// Modes in which some slot of the form is valid.
ModeSet modes_of(const isa::InnocuousForm& form) {
    ModeSet modes;
    for (const isa::Encoding& encoding : form.encodings) modes.bits = static_cast<std::uint8_t>(modes.bits | encoding.modes.bits);
    return modes;
}

void print_effects(std::string_view title, const isa::Database& database, const std::vector<isa::Effect>& effects) {
    for (const isa::Effect& effect : effects) {
        const isa::Resource& resource = database.resources[effect.resource];
        fmt::print("  {:7} {:18} {:13}{}{}\n", title, resource.id, isa::to_string(resource.kind), effect.when.always() ? "" : "when " + effect.when.text(),
                   effect.otherwise.empty() ? "" : ", else " + effect.otherwise);
        title = "";
    }
}

void print_derivation(const isa::Database& database, const isa::Record& record, const isa::Profile& profile, Mode mode) {
    const classify::Explanation explanation = classify::explain(database, record, profile, mode);
    for (const std::string& step : explanation.steps) fmt::print("  {}\n", step);
    for (const classify::Witness& witness : explanation.witnesses) {
        fmt::print("    witness ({}):\n", witness.tag);
        for (const classify::WitnessState& state : witness.states) {
            std::string atoms;
            for (const auto& [name, value] : state.atoms) atoms += fmt::format("{}{}={}", atoms.empty() ? "" : " ", name, value);
            fmt::print("      [{}] {}\n", atoms, state.outcome);
        }
    }
}

void print_record(const IsaQuery& query, const isa::Database& database, const isa::Record& record, const isa::Profile& profile) {
    fmt::print("{}  ({}, {})\n", record.id, record.mnemonic, record.family);
    fmt::print("  {:7} {}   modes {}\n", "bytes", encoding_text(record.encoding), modes_text(record.encoding.modes));
    for (const isa::Example& example : record.examples)
        fmt::print("  {:7} {}  ({}) {}\n", "example", to_hex(example.bytes), to_string(example.mode), example.text);
    if (!record.feature.empty() || !record.gate.empty())
        fmt::print("  {:7} {}{}\n", "feature", record.feature, record.gate.empty() ? "" : " gated by " + record.gate);
    print_effects("reads", database, record.reads);
    print_effects("writes", database, record.writes);
    for (const isa::Fault& fault : record.faults)
        fmt::print("  {:7} {:12} {:10} {}\n", "fault", fault.vector, isa::to_string(fault.cause), fault.when.text());
    if (!record.virtualization.why.empty())
        fmt::print("  {:7} hypercall {}, translate {}: {}\n", "advice", record.virtualization.hypercall.empty() ? "-" : record.virtualization.hypercall,
                   record.virtualization.translate.empty() ? "-" : record.virtualization.translate, record.virtualization.why);
    for (const isa::Source& source : record.sources) fmt::print("  {:7} {}: {}\n", "source", source.doc, source.section);
    for (Mode mode : kAllModes)
        if (record.encoding.modes.contains(mode) && (query.mode.empty() || query.mode == to_string(mode))) print_derivation(database, record, profile, mode);
    fmt::print("\n");
}

void print_innocuous(const isa::InnocuousForm& form) {
    fmt::print("{}  ({})\n", form.mnemonic, form.family);
    fmt::print("  {:7} {}\n", "modes", modes_text(modes_of(form)));
    for (const std::string& slot : form.slots) fmt::print("  {:7} {}\n", "slot", slot);
    if (!form.feature.empty()) fmt::print("  {:7} {}\n", "feature", form.feature);
    if (!form.vendor.empty()) fmt::print("  {:7} {}\n", "vendor", form.vendor);
    fmt::print("  {:7} {}{}\n", "since", isa::to_string(form.since), form.until == isa::Era::modern ? "" : fmt::format(" until {}", isa::to_string(form.until)));
    for (const isa::Source& source : form.sources) fmt::print("  {:7} {}: {}\n", "source", source.doc, source.section);
    fmt::print("  innocuous: touches nothing a VMM owns\n\n");
}

}  // namespace

int list_forms(const IsaQuery& query, const isa::Database& database) {
    if (query.profiles) {
        for (const isa::Profile& profile : database.profiles) fmt::print("{:12} {}\n", profile.id, profile.title);
        return kDone;
    }
    if (query.abis) {
        for (const isa::Abi& abi : database.abis) fmt::print("{:12} {:6} {}\n", abi.id, abi.version(), abi.title);
        return kDone;
    }
    const auto in_family = [&](const auto& form) { return query.family.empty() || form.family == query.family; };
    if (std::none_of(database.records.begin(), database.records.end(), in_family) && std::none_of(database.innocuous.begin(), database.innocuous.end(), in_family)) {
        fmt::print(stderr, "trapline: error: no family \"{}\" (trapline isa stats)\n", query.family);
        return kUsage;
    }
    const auto print_row = [](std::string_view id, std::string_view mnemonic, std::string_view modes, std::string_view family, std::string_view encoding) {
        fmt::print("{:28} {:18} {:13} {:33} {}\n", id, mnemonic, modes, family, encoding);
    };
    print_row("FORM", "MNEMONIC", "MODES", "FAMILY", "ENCODING");
    for (const isa::Record& record : database.records)
        if (in_family(record)) print_row(record.id, record.mnemonic, modes_text(record.encoding.modes), record.family, encoding_text(record.encoding));
    for (const isa::InnocuousForm& form : database.innocuous)
        if (in_family(form)) print_row("-", form.mnemonic, modes_text(modes_of(form)), form.family, joined(form.slots, "; "));
    return kDone;
}

int show_form(const IsaQuery& query, const isa::Database& database) {
    std::vector<const isa::Record*> records;
    for (const isa::Record& record : database.records)
        if (record.id == query.form || record.mnemonic == query.form || record.stem == query.form) records.push_back(&record);
    std::vector<const isa::InnocuousForm*> innocuous;
    for (const isa::InnocuousForm& form : database.innocuous)
        if (form.mnemonic == query.form) innocuous.push_back(&form);
    if (const isa::Record* exact = database.find_record(query.form); exact != nullptr && exact->id != exact->mnemonic) {
        records = {exact};
        innocuous.clear();
    }
    if (records.empty() && innocuous.empty()) {
        fmt::print(stderr, "trapline: error: no form or mnemonic \"{}\" (trapline isa list)\n", query.form);
        return kUsage;
    }
    const isa::Profile* profile = find_profile(database, query.profile);
    if (profile == nullptr) return kUsage;
    for (const isa::Record* record : records) print_record(query, database, *record, *profile);
    for (const isa::InnocuousForm* form : innocuous)
        if (query.mode.empty() || modes_of(*form).contains(*parse_mode(query.mode))) print_innocuous(*form);
    return kDone;
}

}  // namespace trapline::cli
