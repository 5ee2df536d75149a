// SPDX-License-Identifier: Apache-2.0
// trapline verify-isa: the database against this CPU.
#include <fmt/core.h>
#include <sched.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/verify_isa_report.h"

namespace trapline::cli {

namespace {

struct Options {
    std::vector<std::string> forms;
    std::vector<std::string> brute;
    std::string format = "text";
};

constexpr isa::OpcodeMap kAllMaps[] = {
    isa::OpcodeMap::one,       isa::OpcodeMap::m0f,       isa::OpcodeMap::m0f38,     isa::OpcodeMap::m0f3a,     isa::OpcodeMap::m3dnow,
    isa::OpcodeMap::vex_0f,    isa::OpcodeMap::vex_0f38,  isa::OpcodeMap::vex_0f3a,  isa::OpcodeMap::vex_map7,  isa::OpcodeMap::xop_8,
    isa::OpcodeMap::xop_9,     isa::OpcodeMap::xop_a,     isa::OpcodeMap::evex_0f,   isa::OpcodeMap::evex_0f38, isa::OpcodeMap::evex_0f3a,
    isa::OpcodeMap::evex_map4, isa::OpcodeMap::evex_map5, isa::OpcodeMap::evex_map6, isa::OpcodeMap::evex_map7};

/// Reads the maps of --brute; on failure names the known ones and gives false.
bool parse_maps(const std::vector<std::string>& words, std::vector<isa::OpcodeMap>& maps) {
    for (const std::string& word : words) {
        if (word == "all") {
            maps.assign(std::begin(kAllMaps), std::end(kAllMaps));
            return true;
        }
        const auto map = isa::parse_opcode_map(word);
        if (!map) {
            std::string known = "all";
            for (const isa::OpcodeMap candidate : kAllMaps) known += ", " + std::string(isa::to_string(candidate));
            fmt::print(stderr, "trapline: error: unknown opcode map \"{}\", expected one of {}\n", word, known);
            return false;
        }
        maps.push_back(*map);
    }
    return true;
}

/// Finds the records that `forms` name by id, mnemonic or stem, all when it is empty; on failure says so and gives false.
bool select_records(const isa::Database& database, const std::vector<std::string>& forms, std::vector<const isa::Record*>& records) {
    for (const isa::Record& record : database.records)
        if (forms.empty() || std::any_of(forms.begin(), forms.end(), [&](const std::string& form) {
                return record.id == form || record.mnemonic == form || record.stem == form;
            }))
            records.push_back(&record);
    for (const std::string& form : forms) {
        const bool met = std::any_of(records.begin(), records.end(), [&](const isa::Record* record) { return record->id == form || record->mnemonic == form || record->stem == form; });
        if (met) continue;
        fmt::print(stderr, "trapline: error: no form or mnemonic \"{}\" (trapline isa list)\n", form);
        return false;
    }
    return true;
}

/// Rows of the exclusions that excused nothing although they apply here: what they say has vanished.
std::vector<std::string> unused_rows(const IsaVerification& found) {
    std::vector<std::string> out;
    const auto used = [&](const executor::CpuDifference& row) {
        return std::any_of(found.examples.begin(), found.examples.end(), [&](const executor::CheckedExample& example) { return example.judgement.row == &row; });
    };
    for (std::size_t i = 0; i < found.host.differences.rows().size(); ++i) {
        const executor::CpuDifference& row = found.host.differences.rows()[i];
        if (row.applies && !row.by_opcode && !used(row)) out.push_back(fmt::format("{}/rows/{}: {}", executor::CpuDifferences::kFile, i, row.reason));
    }
    return out;
}

int processors() {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    return ::sched_getaffinity(0, sizeof usable, &usable) == 0 ? std::clamp(CPU_COUNT(&usable), 1, 16) : 1;
}

/// Runs everything that was asked for. An Error of the kind host_limit means that this host cannot do it.
Status verify(const Options& options, const std::vector<const isa::Record*>& records, const std::vector<isa::OpcodeMap>& maps, const isa::Database& database,
              Progress& progress, IsaVerification& out) {
    auto nurseries = executor::Nurseries::start(processors());
    if (!nurseries) return tl::unexpected(nurseries.error());
    out.abilities = nurseries->abilities();
    auto umip = executor::time_umip(*nurseries);
    if (!umip) return tl::unexpected(umip.error());
    out.umip = std::move(*umip);
    auto examples = executor::check_examples(database, out.host, *nurseries, records,
                                             [&](std::size_t done, std::size_t total) { progress.update("examples", done, total); }, out.experiments);
    if (!examples) return tl::unexpected(examples.error());
    out.examples = std::move(*examples);
    if (options.forms.empty()) out.unused_rows = unused_rows(out);
    for (const isa::OpcodeMap map : maps) {
        const std::string what = "map " + std::string(isa::to_string(map));
        auto checked = executor::check_map(database, out.host, *nurseries, map, [&](std::size_t done, std::size_t total) { progress.update(what, done, total); }, out.experiments);
        if (!checked) return tl::unexpected(checked.error());
        out.maps.push_back(std::move(*checked));
    }
    return {};
}

int run(const Options& options, const GlobalOptions& global) {
    std::vector<isa::OpcodeMap> maps;
    if (!parse_maps(options.brute, maps)) return kUsage;
    const auto loaded = load(global);
    if (!loaded) return kBadInput;
    std::vector<const isa::Record*> records;
    if (!select_records(loaded->database, options.forms, records)) return kUsage;
    IsaVerification found;
    found.database_version = loaded->database.version;
    auto host = executor::describe_host(loaded->database, loaded->files, executor::this_host());
    if (!host) {
        print_error(host.error());
        return kBadInput;
    }
    found.host = std::move(*host);
    Progress progress(!global.quiet);
    const Status status = verify(options, records, maps, loaded->database, progress, found);
    progress.clear();
    if (!status) {
        print_error(status.error());
        return exit_code(status.error());
    }
    fmt::print("{}", options.format == "json" ? verification_json(found) : verification_text(found));
    return found.has_findings() ? kFindings : kDone;
}

}  // namespace

Run add_verify_isa(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("verify-isa", "Execute the database's examples at CPL 3 and hold this CPU against the derivation");
    command->add_option("FORM", options->forms, "only these forms (id or mnemonic)");
    command->add_option("--brute", options->brute, "also every slot of an opcode map (one, 0f, 0f38, vex.0f ..., or all); repeatable")->type_name("MAP")->allow_extra_args(false);
    command->add_option("--format", options->format, "text or json")->capture_default_str()->type_name("text|json")->check(CLI::IsMember({"text", "json"}).description(""));
    command->footer(
        "Each experiment runs in a process of its own that can make no system call, holds no file and no secret, and is ended\n"
        "after 60 ms of processor time. Exit 1 when an outcome is left unexplained, 5 where instructions cannot be contained.\n"
        "Exclusions: isa-specs/x86/cpu-differences.json.");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
