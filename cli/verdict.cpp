// SPDX-License-Identifier: Apache-2.0
// trapline verdict: theorems 1 to 3 for a profile, with the witness set.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "classify/theorem.h"
#include "cli/command.h"

namespace trapline::cli {

namespace {

struct Options {
    std::string isa = "x86";
    std::string profile = "base";
    std::string mode;
    std::string format = "text";
    bool all = false;
};

std::string modes_text(ModeSet modes) {
    std::string text;
    for (Mode mode : kAllModes)
        if (modes.contains(mode)) text += (text.empty() ? "" : " ") + std::string(to_string(mode));
    return text;
}

/// The witness set by mnemonic, in the order of the database: "popf (16r 16p 32 64)".
std::vector<std::pair<std::string, ModeSet>> by_mnemonic(const std::vector<classify::SetMember>& members) {
    std::vector<std::pair<std::string, ModeSet>> rows;
    for (const classify::SetMember& member : members) {
        auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.first == member.record->mnemonic; });
        if (row == rows.end()) row = rows.insert(rows.end(), {member.record->mnemonic, {}});
        row->second.insert(member.mode);
    }
    return rows;
}

void print_wrapped(const std::vector<std::pair<std::string, ModeSet>>& rows, ModeSet asked) {
    std::string line = "     ";
    for (const auto& [mnemonic, modes] : rows) {
        const std::string word = " " + mnemonic + (modes == asked ? "" : "(" + modes_text(modes) + ")");
        if (line.size() + word.size() > 110) {
            fmt::print("{}\n", line);
            line = "     ";
        }
        line += word;
    }
    if (line.size() > 5) fmt::print("{}\n", line);
}

void print_text(const classify::Verdict& verdict) {
    fmt::print("{} - {}\n", verdict.profile->id, verdict.profile->title);
    fmt::print("  modes {}; {} form(s) x mode: {} sensitive, {} privileged, {} conditional, {} user-sensitive, {} override(s)\n", modes_text(verdict.modes), verdict.forms,
               verdict.sensitive, verdict.privileged, verdict.conditional, verdict.user_sensitive, verdict.overrides);
    for (const classify::TheoremAnswer& answer : verdict.theorems)
        fmt::print("  theorem {}: {:17}  {}\n{:32}{}\n", answer.theorem, answer.met ? "holds" : "condition not met", answer.statement, "", answer.why);
    if (!verdict.critical.empty()) {
        fmt::print("  witness set: sensitive, not privileged (modes in brackets where not all of those asked)\n");
        print_wrapped(by_mnemonic(verdict.critical), verdict.modes);
    }
    if (!verdict.covers.empty()) {
        fmt::print("  covered by:\n");
        for (const classify::Cover& cover : verdict.covers) fmt::print("    {:28} {}\n", cover.record->id, cover.by);
    }
    fmt::print("\n");
}

nlohmann::ordered_json members_json(const std::vector<classify::SetMember>& members) {
    auto list = nlohmann::ordered_json::array();
    for (const classify::SetMember& member : members)
        list.push_back({{"form", member.record->id}, {"mnemonic", member.record->mnemonic}, {"mode", to_string(member.mode)},
                        {"privileged", member.tags.privileged_text()}, {"control_sensitive", member.tags.control_sensitive},
                        {"behavior_sensitive", classify::to_string(member.tags.behavior)}});
    return list;
}

nlohmann::ordered_json to_json(const classify::Verdict& verdict) {
    nlohmann::ordered_json json;
    json["profile"] = verdict.profile->id;
    json["title"] = verdict.profile->title;
    json["modes"] = nlohmann::ordered_json::array();
    for (Mode mode : kAllModes)
        if (verdict.modes.contains(mode)) json["modes"].push_back(to_string(mode));
    json["counts"] = {{"forms", verdict.forms}, {"sensitive", verdict.sensitive}, {"privileged", verdict.privileged}, {"conditional", verdict.conditional},
                      {"user_sensitive", verdict.user_sensitive}, {"critical", verdict.critical.size()}, {"overrides", verdict.overrides}};
    json["theorems"] = nlohmann::ordered_json::array();
    for (const classify::TheoremAnswer& answer : verdict.theorems)
        json["theorems"].push_back({{"theorem", answer.theorem}, {"condition_met", answer.met}, {"statement", answer.statement}, {"why", answer.why}});
    json["witness_set"] = members_json(verdict.critical);
    json["user_witness_set"] = members_json(verdict.user_critical);
    json["covers"] = nlohmann::ordered_json::array();
    for (const classify::Cover& cover : verdict.covers) {
        auto modes = nlohmann::ordered_json::array();
        for (Mode mode : cover.modes) modes.push_back(to_string(mode));
        json["covers"].push_back({{"form", cover.record->id}, {"mnemonic", cover.record->mnemonic}, {"modes", modes}, {"by", cover.by}});
    }
    return json;
}

int run(const Options& options, const GlobalOptions& global) {
    const auto loaded = load(global);
    if (!loaded) return kBadInput;
    const isa::Database& database = loaded->database;
    std::vector<const isa::Profile*> profiles;
    if (options.all) {
        for (const isa::Profile& profile : database.profiles) profiles.push_back(&profile);
    } else {
        profiles.push_back(find_profile(database, options.profile));
        if (profiles.back() == nullptr) return kUsage;
    }
    ModeSet modes;
    for (Mode mode : kAllModes)
        if (options.mode.empty() || options.mode == to_string(mode)) modes.insert(mode);
    nlohmann::ordered_json document = {{"schema", "trapline.verdict/1"}, {"isa", options.isa}, {"database_version", database.version}, {"verdicts", nlohmann::ordered_json::array()}};
    for (const isa::Profile* profile : profiles) {
        const classify::TagTable tags(database, *profile);
        const classify::Verdict verdict = classify::judge(database, tags, modes);
        if (options.format == "json") document["verdicts"].push_back(to_json(verdict));
        else print_text(verdict);
    }
    if (options.format == "json") fmt::print("{}\n", document.dump(1));
    else fmt::print("\"Condition not met\" means that this sufficient condition fails, never that the machine cannot be virtualized.\n");
    return kDone;
}

}  // namespace

Run add_verdict(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("verdict", "Answer Popek and Goldberg's theorems 1 to 3");
    command->add_option("--isa", options->isa, "instruction set")->capture_default_str()->type_name("x86")->check(CLI::IsMember({"x86"}).description(""));
    auto* profile = command->add_option("--profile", options->profile, "machine and VMM asked about (trapline isa list --profiles)")->capture_default_str();
    command->add_flag("--all", options->all, "every profile")->excludes(profile);
    command->add_option("--mode", options->mode, "only this mode")->type_name("16r|16p|32|64")->check(CLI::IsMember({"16r", "16p", "32", "64"}).description(""));
    command->add_option("--format", options->format, "text or json")->capture_default_str()->type_name("text|json")->check(CLI::IsMember({"text", "json"}).description(""));
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
