// SPDX-License-Identifier: Apache-2.0
// trapline isa: the database itself - list, show, stats, lint, export, format.
#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/command.h"
#include "decode/examples.h"
#include "decode/form_index.h"
#include "isa/format.h"
#include "isa/lint.h"
#include "support/bytes.h"

namespace trapline::cli {

namespace {

struct Options {
    std::string profile = "base";
    std::string mode;
    std::string family;
    std::string format = "text";
    std::string form;
    std::vector<std::string> paths;
    bool profiles = false;
};

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

int list(const Options& options, const isa::Database& database) {
    if (options.profiles) {
        for (const isa::Profile& profile : database.profiles) fmt::print("{:12} {}\n", profile.id, profile.title);
        return kDone;
    }
    const auto in_family = [&](const isa::Record& record) { return options.family.empty() || record.family == options.family; };
    if (std::none_of(database.records.begin(), database.records.end(), in_family)) {
        fmt::print(stderr, "trapline: error: no family \"{}\" (trapline isa stats)\n", options.family);
        return kUsage;
    }
    fmt::print("{:28} {:14} {:20} {:14} {}\n", "FORM", "MNEMONIC", "ENCODING", "MODES", "FAMILY");
    for (const isa::Record& record : database.records)
        if (in_family(record))
            fmt::print("{:28} {:14} {:20} {:14} {}\n", record.id, record.mnemonic, encoding_text(record.encoding), modes_text(record.encoding.modes), record.family);
    return kDone;
}

void print_effects(std::string_view title, const isa::Database& database, const std::vector<isa::Effect>& effects) {
    for (const isa::Effect& effect : effects) {
        const isa::Resource& resource = database.resources[effect.resource];
        fmt::print("  {:7} {:18} {:13}{}{}\n", title, resource.id, isa::to_string(resource.kind), effect.when.always() ? "" : "when " + effect.when.text(),
                   effect.otherwise.empty() ? "" : ", else " + effect.otherwise);
        title = "";
    }
}

int show(const Options& options, const isa::Database& database) {
    std::vector<const isa::Record*> records;
    for (const isa::Record& record : database.records)
        if (record.id == options.form || record.mnemonic == options.form || record.stem == options.form) records.push_back(&record);
    if (const isa::Record* exact = database.find_record(options.form)) records = {exact};
    if (records.empty()) {
        fmt::print(stderr, "trapline: error: no form or mnemonic \"{}\" (trapline isa list)\n", options.form);
        return kUsage;
    }
    const isa::Profile* profile = find_profile(database, options.profile);
    if (profile == nullptr) return kUsage;
    for (const isa::Record* record : records) {
        fmt::print("{}  ({}, {})\n", record->id, record->mnemonic, record->family);
        fmt::print("  {:7} {}   modes {}\n", "bytes", encoding_text(record->encoding), modes_text(record->encoding.modes));
        for (const isa::Example& example : record->examples)
            fmt::print("  {:7} {}  ({}) {}\n", "example", to_hex(example.bytes), to_string(example.mode), example.text);
        if (!record->feature.empty() || !record->gate.empty())
            fmt::print("  {:7} {}{}\n", "feature", record->feature, record->gate.empty() ? "" : " gated by " + record->gate);
        print_effects("reads", database, record->reads);
        print_effects("writes", database, record->writes);
        for (const isa::Fault& fault : record->faults)
            fmt::print("  {:7} {:12} {:10} {}\n", "fault", fault.vector, isa::to_string(fault.cause), fault.when.text());
        if (!record->virtualization.why.empty())
            fmt::print("  {:7} hypercall {}, translate {}: {}\n", "advice", record->virtualization.hypercall.empty() ? "-" : record->virtualization.hypercall,
                       record->virtualization.translate.empty() ? "-" : record->virtualization.translate, record->virtualization.why);
        for (const isa::Source& source : record->sources) fmt::print("  {:7} {}: {}\n", "source", source.doc, source.section);
        for (Mode mode : kAllModes) {
            if (!record->encoding.modes.contains(mode) || (!options.mode.empty() && options.mode != to_string(mode))) continue;
            const classify::Explanation explanation = classify::explain(database, *record, *profile, mode);
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
        fmt::print("\n");
    }
    return kDone;
}

int stats(const Options& options, const isa::Database& database) {
    const isa::Profile* profile = find_profile(database, options.profile);
    if (profile == nullptr) return kUsage;
    std::map<std::string, std::size_t> families;
    std::set<std::string> mnemonics;
    std::set<std::pair<int, int>> slots;
    std::size_t overrides = 0, examples = 0;
    for (const isa::Record& record : database.records) {
        ++families[record.family];
        mnemonics.insert(record.mnemonic);
        slots.emplace(static_cast<int>(record.encoding.map), record.encoding.opcode);
        overrides += record.overrides.size();
        examples += record.examples.size();
    }
    fmt::print("database version   {}\n", database.version);
    fmt::print("forms              {}\nmnemonics          {}\nfamilies           {}\nopcode slots       {}\nexamples           {}\noverrides          {}\n",
               database.records.size(), mnemonics.size(), families.size(), slots.size(), examples, overrides);
    fmt::print("resources          {}\nguard atoms        {}\nprofiles           {}\nVT-x controls      {}\nSVM intercepts     {}\n\n", database.resources.size(),
               database.atoms.size(), database.profiles.size(), database.vmx_controls.size(), database.svm_controls.size());
    const classify::TagTable tags(database, *profile);
    fmt::print("under {}:  {:>6} {:>10} {:>11} {:>9} {:>9} {:>9}\n", profile->id, "forms", "privileged", "conditional", "control", "behavior", "critical");
    for (Mode mode : kAllModes) {
        std::size_t forms = 0, privileged = 0, conditional = 0, control = 0, behavior = 0, critical = 0;
        for (const isa::Record& record : database.records) {
            if (!record.encoding.modes.contains(mode) || !isa::exists_in(record, *profile)) continue;
            const classify::Tags& t = tags.at(record, mode);
            ++forms;
            privileged += t.privileged == classify::Privileged::yes;
            conditional += t.privileged == classify::Privileged::conditional;
            control += t.control_sensitive;
            behavior += t.behavior != classify::Behavior::no;
            critical += t.critical();
        }
        fmt::print("  mode {:4}     {:>6} {:>10} {:>11} {:>9} {:>9} {:>9}\n", to_string(mode), forms, privileged, conditional, control, behavior, critical);
    }
    fmt::print("\nfamily                       forms\n");
    for (const auto& [family, count] : families) fmt::print("  {:26} {:>5}\n", family, count);
    return kDone;
}

int lint(const LoadedDatabase& loaded) {
    std::vector<Error> errors = isa::check_schemas(loaded.files);
    const auto append = [&](std::vector<Error> more) { errors.insert(errors.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end())); };
    append(isa::lint(loaded.database, loaded.files));
    append(decode::check_claims(loaded.database, decode::OpcodeMaps::generated()));
    append(decode::check_examples(loaded.database));
    for (const Error& error : errors) fmt::print("{}\n", error.describe());
    fmt::print("isa lint: {} records and {} innocuous forms in {} files, {} error(s)\n", loaded.database.records.size(), loaded.database.innocuous.size(),
               loaded.files.size(), errors.size());
    return errors.empty() ? kDone : kBadInput;
}

int export_tags(const Options& options, const isa::Database& database) {
    const isa::Profile* profile = find_profile(database, options.profile);
    if (profile == nullptr) return kUsage;
    const classify::TagTable tags(database, *profile);
    nlohmann::ordered_json document = {{"schema", "trapline.isa-export/1"}, {"database_version", database.version}, {"profile", profile->id}, {"forms", nlohmann::ordered_json::array()}};
    if (options.format == "csv") fmt::print("form,mnemonic,family,mode,privileged,control_sensitive,behavior_sensitive,critical,user_sensitive\n");
    for (const isa::Record& record : database.records) {
        for (Mode mode : kAllModes) {
            if (!record.encoding.modes.contains(mode) || !profile->modes.contains(mode) || !isa::exists_in(record, *profile)) continue;
            const classify::Tags& t = tags.at(record, mode);
            if (options.format == "csv") {
                fmt::print("{},{},{},{},{},{},{},{},{}\n", record.id, record.mnemonic, record.family, to_string(mode), t.privileged_text(),
                           t.control_sensitive ? "yes" : "no", classify::to_string(t.behavior), t.critical() ? "yes" : "no", t.user_sensitive ? "yes" : "no");
            } else {
                document["forms"].push_back({{"form", record.id}, {"mnemonic", record.mnemonic}, {"family", record.family}, {"mode", to_string(mode)},
                                             {"privileged", t.privileged_text()}, {"control_sensitive", t.control_sensitive},
                                             {"behavior_sensitive", classify::to_string(t.behavior)}, {"critical", t.critical()}, {"user_sensitive", t.user_sensitive}});
            }
        }
    }
    if (options.format != "csv") fmt::print("{}\n", document.dump(1));
    return kDone;
}

// Rewrites files in the canonical layout; works on files that do not load, so that a broken record can be laid out.
int format_files(const Options& options) {
    int result = kDone;
    for (const std::string& path : options.paths) {
        std::ifstream stream(path, std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
        auto formatted = stream ? isa::format_spec(path, text) : Result<std::string>(fail(ErrorCode::io, "cannot read", path));
        if (formatted && *formatted == text) continue;
        const Status status = formatted ? write_output(path, *formatted) : Status(tl::unexpected<Error>(formatted.error()));
        if (!status) {
            print_error(status.error());
            result = kBadInput;
        } else {
            fmt::print("{}: laid out\n", path);
        }
    }
    return result;
}

}  // namespace

Run add_isa(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("isa", "Look into the instruction database and check it");
    command->require_subcommand(1);
    CLI::App* list_command = command->add_subcommand("list", "List the forms (or, with --profiles, the profiles)");
    list_command->add_option("--family", options->family, "only this family");
    list_command->add_flag("--profiles", options->profiles, "list the profiles");
    CLI::App* show_command = command->add_subcommand("show", "Show a form: effects, guards, and the derivation of its tags with witnesses");
    show_command->add_option("FORM", options->form, "form id or mnemonic")->required();
    show_command->add_option("--mode", options->mode, "only this mode")->type_name("16r|16p|32|64")->check(CLI::IsMember({"16r", "16p", "32", "64"}).description(""));
    CLI::App* stats_command = command->add_subcommand("stats", "Count what the database holds");
    CLI::App* lint_command = command->add_subcommand("lint", "Check the database; every error with file and JSON pointer");
    CLI::App* export_command = command->add_subcommand("export", "Write the derived tags of every form");
    export_command->add_option("--format", options->format, "json or csv")->type_name("json|csv")->check(CLI::IsMember({"json", "csv"}).description(""))->default_str("json");
    CLI::App* format_command = command->add_subcommand("format", "Lay database files out canonically, in place");
    format_command->add_option("FILE", options->paths, "JSON files of isa-specs/")->required();
    for (CLI::App* sub : {show_command, stats_command, export_command}) sub->add_option("--profile", options->profile, "profile that tags are asked for")->capture_default_str();
    return [=, &global]() -> int {
        if (format_command->parsed()) return format_files(*options);
        const auto loaded = load(global);
        if (!loaded) return kBadInput;
        if (list_command->parsed()) return list(*options, loaded->database);
        if (show_command->parsed()) return show(*options, loaded->database);
        if (stats_command->parsed()) return stats(*options, loaded->database);
        if (lint_command->parsed()) return lint(*loaded);
        return export_tags(*options, loaded->database);
    };
}

}  // namespace trapline::cli
