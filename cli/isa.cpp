// SPDX-License-Identifier: Apache-2.0
// trapline isa: the command line, lint, export and format; list, show and stats are in files of their own.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/isa.h"
#include "decode/examples.h"
#include "decode/form_index.h"
#include "isa/abi_export.h"
#include "isa/format.h"
#include "isa/lint.h"

namespace trapline::cli {

namespace {

struct Options : IsaQuery {
    std::string format = "json";  ///< of export
    std::string abi;
    std::vector<std::string> paths;
};

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

constexpr std::array<std::string_view, 2> kAbiFormats = {"c-header", "markdown"};

int export_abi(const Options& options, const isa::Database& database) {
    const isa::Abi* abi = database.find_abi(options.abi);
    if (abi == nullptr) {
        fmt::print(stderr, "trapline: error: no interface \"{}\", expected one of trapline isa list --abis\n", options.abi);
        return kUsage;
    }
    fmt::print("{}", options.format == "markdown" ? isa::render_markdown_tables(*abi) : isa::render_c_header(*abi));
    return kDone;
}

// Tags have their formats, an interface has others.
int export_data(const Options& options, const isa::Database& database) {
    const bool of_abi = std::find(kAbiFormats.begin(), kAbiFormats.end(), options.format) != kAbiFormats.end();
    if (of_abi == !options.abi.empty()) return of_abi ? export_abi(options, database) : export_tags(options, database);
    fmt::print(stderr, "trapline: error: found --format {} {} --abi, expected {}\n", options.format, of_abi ? "without" : "with",
               of_abi ? "the interface to write" : "c-header or markdown");
    return kUsage;
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
    CLI::App* list_command = command->add_subcommand("list", "List the forms (or, with --profiles or --abis, the profiles or the hypercall interfaces)");
    list_command->add_option("--family", options->family, "only this family");
    CLI::Option* profiles = list_command->add_flag("--profiles", options->profiles, "list the profiles");
    list_command->add_flag("--abis", options->abis, "list the hypercall interfaces")->excludes(profiles);
    CLI::App* show_command = command->add_subcommand("show", "Show a form: effects, guards, and the derivation of its tags with witnesses");
    show_command->add_option("FORM", options->form, "form id or mnemonic")->required();
    show_command->add_option("--mode", options->mode, "only this mode")->type_name("16r|16p|32|64")->check(CLI::IsMember({"16r", "16p", "32", "64"}).description(""));
    CLI::App* stats_command = command->add_subcommand("stats", "Count what the database holds");
    CLI::App* lint_command = command->add_subcommand("lint", "Check the database; every error with file and JSON pointer");
    CLI::App* export_command = command->add_subcommand("export", "Write the derived tags of every form, or a hypercall interface");
    export_command->add_option("--format", options->format, "json or csv for tags; c-header or markdown for an interface")->type_name("json|csv|c-header|markdown")
        ->check(CLI::IsMember({"json", "csv", "c-header", "markdown"}).description(""))->capture_default_str();
    export_command->add_option("--abi", options->abi, "write this interface (trapline isa list --abis)")->type_name("NAME");
    CLI::App* format_command = command->add_subcommand("format", "Lay database files out canonically, in place");
    format_command->add_option("FILE", options->paths, "JSON files of isa-specs/")->required();
    for (CLI::App* sub : {show_command, stats_command, export_command}) sub->add_option("--profile", options->profile, "profile that tags are asked for")->capture_default_str();
    return [=, &global]() -> int {
        if (format_command->parsed()) return format_files(*options);
        const auto loaded = load(global);
        if (!loaded) return kBadInput;
        if (list_command->parsed()) return list_forms(*options, loaded->database);
        if (show_command->parsed()) return show_form(*options, loaded->database);
        if (stats_command->parsed()) return print_stats(*options, loaded->database);
        if (lint_command->parsed()) return lint(*loaded);
        return export_data(*options, loaded->database);
    };
}

}  // namespace trapline::cli
