// SPDX-License-Identifier: Apache-2.0
// trapline verify: a patched image against its plan. Re-scans it, compares every byte that the plan writes, and proves every
// patch by execution.
#include <fmt/core.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/plan_file.h"
#include "image/image.h"
#include "patch/proof/verify.h"
#include "reports/technique_table.h"
#include "reports/verify_json.h"
#include "scan/scanner.h"

namespace trapline::cli {

namespace {

constexpr std::size_t kMostInText = 12;

struct Options {
    std::string image, plan, output;
    std::string format = "text";
    std::uint64_t seed = 1;
    unsigned rounds = 32;
    int jobs = 0;
    bool all = false;
};

/// The name that a plan has for an image's part.
std::string part_of(const std::string& name) {
    for (const char* part : {"setup", "stub", "payload"})
        if (name.ends_with(std::string("!") + part)) return part;
    return {};
}

class Verifier {
public:
    Verifier(const Options& options, const GlobalOptions& global, const isa::Database& database, const PlanDocument& plan, const isa::Abi& abi, const isa::Profile& profile)
        : options_(options), database_(database), plan_(plan), abi_(abi), tags_(database, profile), progress_(!global.quiet) {}

    Status run() {
        image::OpenOptions open;
        open.progress = [&](std::string_view what) { progress_.update(what, 0, 0); };
        Status member;
        const Status status = image::open_images(
            options_.image, open,
            [&](image::Image&& image) {
                add(image);
                return true;
            },
            [&](const Error& error) {
                if (member) member = tl::unexpected(error);
            });
        progress_.clear();
        patch::proof::finish_report(plan_, met_, report_);
        return status ? member : status;
    }
    VerifyReport& report() { return report_; }

private:
    void add(const image::Image& image) {
        const std::string part = part_of(image.name);
        met_.push_back(part);
        scan::ScanOptions scan;
        scan.jobs = options_.jobs;
        scan.progress = [&](std::uint64_t done, std::uint64_t total) { progress_.update(image.name, done, total); };
        const ScanDocument document = scan::scan(image, database_, tags_, scan);
        patch::proof::VerifyOptions verify;
        verify.proof = {options_.seed, options_.rounds};
        verify.jobs = options_.jobs;
        verify.progress = [&](std::uint64_t done, std::uint64_t total) { progress_.update("proofs", done, total); };
        patch::proof::verify_part(image, document, plan_, part, abi_, verify, report_);
    }

    const Options& options_;
    const isa::Database& database_;
    const PlanDocument& plan_;
    const isa::Abi& abi_;
    classify::TagTable tags_;
    Progress progress_;
    VerifyReport report_;
    std::vector<std::string> met_;
};

int run(const Options& options, const GlobalOptions& global) {
    const auto loaded = load(global);
    if (!loaded) return kBadInput;
    const auto refuse = [](const Error& error) {
        print_error(error);
        return exit_code(error);
    };
    const auto plan = read_plan_document(options.plan);
    if (!plan) return refuse(plan.error());
    const isa::Abi* const abi = loaded->database.find_abi(plan->abi);
    if (abi == nullptr) return refuse(Error{ErrorCode::inconsistent, fmt::format("found interface \"{}\", expected one that the database has", plan->abi), options.plan, std::nullopt, {}});
    const isa::Profile* const profile = loaded->database.find_profile(plan->profile);
    if (profile == nullptr) return refuse(Error{ErrorCode::inconsistent, fmt::format("found profile \"{}\", expected one that the database has", plan->profile), options.plan, std::nullopt, {}});
    Verifier verifier(options, global, loaded->database, *plan, *abi, *profile);
    if (Status status = verifier.run(); !status) return refuse(status.error());
    VerifyReport& report = verifier.report();
    report.image = options.image;
    const reports::TechniqueTable table = reports::technique_table(*plan);
    const auto add_goals = [&](const reports::PartTechniques& part) {
        for (const reports::TechniqueGoal& goal : part.goals) report.goals.push_back({part.part, std::string(goal.what), goal.wanted, goal.at_least, goal.part, goal.whole, goal.met()});
    };
    for (const reports::PartTechniques& part : table.parts)
        if (!part.part.empty()) add_goals(part);
    add_goals(table.all);
    if (plan->database_version != loaded->database.version) report.notes.push_back("the plan was made with another version of the database");
    const std::string out = options.format == "json" ? reports::render_verify_json(report) : reports::render_verify_text(report, options.all ? 0 : kMostInText);
    if (Status status = write_output(options.output, out); !status) return refuse(status.error());
    return report.findings.empty() ? kDone : kFindings;
}

}  // namespace

Run add_verify(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("verify", "Hold a patched image against its plan and prove every patch by execution");
    command->add_option("IMAGE", options->image, "the patched image")->required();
    command->add_option("--plan", options->plan, "the plan that it was patched with")->required()->type_name("PLAN");
    command->add_option("--rounds", options->rounds, "random states for each entry of each patch")->type_name("N")->capture_default_str()->check(CLI::Range(1u, 1000000u).description(""));
    command->add_option("--seed", options->seed, "of the random states")->type_name("N")->capture_default_str();
    command->add_option("--jobs,-j", options->jobs, "threads; 0 for all processors")->type_name("N")->capture_default_str()->check(CLI::Range(0, 4096).description(""));
    command->add_flag("--all", options->all, "text: every finding");
    command->add_option("--format", options->format, "text or json")->capture_default_str()->type_name("text|json")->check(CLI::IsMember({"text", "json"}).description(""));
    command->add_option("-o,--output", options->output, "write to FILE instead of standard output")->type_name("FILE");
    command->footer(
        "Exit code 0: verified; 1: findings.\n"
        "Example: trapline verify vmlinuz.patched --plan plan.json");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
