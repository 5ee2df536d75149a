// SPDX-License-Identifier: Apache-2.0
// trapline doctor: what this host can do, and what it cannot and why.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/apt.h"
#include "cli/command.h"
#include "cli/host_probe.h"
#include "decode/decoder.h"
#include "executor/host/calibration.h"
#include "reports/calibration_json.h"

namespace trapline::cli {

namespace {

using State = HostAnswer::State;

struct Options {
    std::string format = "text";
    bool calibrate = false;
    std::string output;
};

std::string_view to_text(State state) {
    switch (state) {
        case State::yes: return "yes";
        case State::no: return "no";
        case State::note: return "note";
    }
    return "?";
}

/// One decoder: its version, and whether it knows an instruction that every x86 has.
HostAnswer decoder_answer(decode::Witness& witness, const char* version) {
    static constexpr std::uint8_t kPopf[] = {0x9D};  // popfq
    const decode::Opinion opinion = witness.decode(kPopf, Mode::long64, VirtAddr{0});
    const bool works = opinion.valid && opinion.length == 1 && opinion.mnemonic.rfind("popf", 0) == 0;
    return {works ? State::yes : State::no, "program", std::string(witness.name()),
            works ? std::string(version) : fmt::format("{}: decodes 9d as \"{}\", expected popf", version, opinion.text), "confirms each finding"};
}

/// What the program itself needs: the database and the decoders. Empty found-texts never appear.
std::vector<HostAnswer> probe_program(const LoadedDatabase* loaded) {
    std::vector<HostAnswer> answers;
    if (loaded == nullptr) {
        answers.push_back({State::no, "program", "database", "does not load; the errors are above", "every tag comes from it"});
    } else {
        std::size_t overrides = 0;
        for (const isa::Record& record : loaded->database.records) overrides += record.overrides.size();
        answers.push_back({State::yes, "program", "database", fmt::format("version {}, {} forms, {} profiles, {} override(s)", loaded->database.version, loaded->database.records.size(),
                                                                           loaded->database.profiles.size(), overrides), "every tag comes from it"});
    }
    answers.push_back(decoder_answer(*decode::make_llvm_witness(), TRAPLINE_LLVM_VERSION));
    answers.push_back(decoder_answer(*decode::make_capstone_witness(), TRAPLINE_CAPSTONE_VERSION));
    const auto apt = apt_version();
    answers.push_back({apt ? State::yes : State::no, "program", "apt", apt ? *apt : apt.error().message, "trapline corpus fetch"});
    return answers;
}

const HostAnswer* find(const std::vector<HostAnswer>& answers, std::string_view name) {
    for (const HostAnswer& answer : answers)
        if (answer.name == name) return &answer;
    return nullptr;
}

/// What a user can do here, from the answers.
struct Ability {
    std::string what;
    bool possible = false;
    std::string why;  ///< what is missing; empty when nothing is
};

std::vector<Ability> judge(const std::vector<HostAnswer>& answers) {
    const auto ability = [&](std::string what, std::initializer_list<std::string_view> needs) {
        Ability result{std::move(what), true, {}};
        for (const std::string_view need : needs) {
            const HostAnswer* answer = find(answers, need);
            if (answer != nullptr && answer->state != State::no) continue;
            result.possible = false;
            result.why += fmt::format("{}{}: {}", result.why.empty() ? "" : "; ", need, answer != nullptr ? answer->found : "not asked");
        }
        return result;
    };
    return {ability("audit, scan, classify, verdict", {"database", "llvm-mc", "capstone"}), ability("corpus fetch", {"apt"}),
            ability("run a guest deprivileged", {"guest_addresses", "memfd_alias", "code32", "rdfsbase", "modify_ldt", "seccomp_trap", "max_map_count"})};
}

void print_text(const std::vector<HostAnswer>& answers, const std::vector<Ability>& abilities) {
    for (const Ability& ability : abilities) fmt::print("{:44} {}{}\n", ability.what, ability.possible ? "yes" : "no", ability.why.empty() ? "" : " - " + ability.why);
    std::string_view group;
    for (const HostAnswer& answer : answers) {
        if (answer.group != group) fmt::print("\n{}\n", answer.group);
        group = answer.group;
        fmt::print("  {:22} {:5} {}\n  {:28} ({})\n", answer.name, answer.state == State::note ? "" : to_text(answer.state), answer.found, "", answer.meaning);
    }
}

nlohmann::ordered_json to_json(const std::vector<HostAnswer>& answers, const std::vector<Ability>& abilities) {
    nlohmann::ordered_json document = {{"schema", "trapline.doctor/1"}, {"program_version", TRAPLINE_VERSION}, {"abilities", nlohmann::ordered_json::array()}, {"answers", nlohmann::ordered_json::array()}};
    for (const Ability& ability : abilities) document["abilities"].push_back({{"what", ability.what}, {"possible", ability.possible}, {"why", ability.why}});
    for (const HostAnswer& answer : answers)
        document["answers"].push_back({{"group", answer.group}, {"name", answer.name}, {"state", to_text(answer.state)}, {"found", answer.found}, {"meaning", answer.meaning}});
    return document;
}

/// Measures what events cost here, for the estimates of `trapline plan --calibration`.
int calibrate(const Options& options) {
    const auto measured = executor::measure_event_costs();
    if (!measured) {
        print_error(measured.error());
        return exit_code(measured.error());
    }
    patch::CostTable table;
    table.trap = measured->trap;
    table.breakpoint = measured->breakpoint;
    table.instruction = measured->instruction;
    table.jump_pair = measured->jump_pair;
    table.far_call = measured->far_call;
    table.near_call = measured->near_call;
    const Status status = write_output(options.output, reports::render_calibration_json(table));
    if (!status) print_error(status.error());
    return status ? kDone : exit_code(status.error());
}

int run(const Options& options, const GlobalOptions& global) {
    if (options.calibrate) return calibrate(options);
    // First of all: the children must be forked while there is one thread.
    std::vector<HostAnswer> answers;
    const auto append = [&](std::vector<HostAnswer> more) { answers.insert(answers.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end())); };
    append(probe_cpu());
    append(probe_ring3());
    append(probe_executor());
    append(probe_resources());
    const auto loaded = load(global);
    std::vector<HostAnswer> program = probe_program(loaded.get());
    program.insert(program.end(), std::make_move_iterator(answers.begin()), std::make_move_iterator(answers.end()));
    const std::vector<Ability> abilities = judge(program);
    if (options.format == "json") fmt::print("{}\n", to_json(program, abilities).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    else print_text(program, abilities);
    for (const Ability& ability : abilities)
        if (ability.possible) return kDone;
    return kHostLimit;
}

}  // namespace

Run add_doctor(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("doctor", "Tell what this host can do, and what it cannot and why");
    command->add_option("--format", options->format, "text or json")->capture_default_str()->check(CLI::IsMember({"text", "json"}));
    auto* calibrate = command->add_flag("--calibrate", options->calibrate, "measure what traps, breakpoints and calls cost here, and print the table that plan --calibration reads");
    command->add_option("-o,--output", options->output, "write the table to FILE instead of standard output")->type_name("FILE")->needs(calibrate);
    command->footer("Every experiment runs in a process of its own. Exit 5 only when nothing would work here.");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
