// SPDX-License-Identifier: Apache-2.0
// trapline plan: what to do about each critical or privileged site of one image, in the shape that --format names.
#include <fmt/core.h>

#include <optional>

#include "cli/input_file.h"
#include "cli/scan_images.h"
#include "patch/embedded_plan.h"
#include "reports/calibration_json.h"
#include "reports/execution_counts.h"
#include "reports/patchlist_csv.h"
#include "reports/plan_include.h"
#include "reports/plan_json.h"
#include "reports/plan_text.h"
#include "reports/run_tally.h"
#include "reports/text_encoding.h"

namespace trapline::cli {

namespace {

struct Options {
    ScanImagesOptions images;
    std::string abi = "trapline";
    std::string technique = "hypercall";
    std::string profile_data, calibration;
    std::string format = "json";
    std::string output;
};

/// What the plan is made from besides the image.
struct Inputs {
    patch::PlanOptions plan;
    std::optional<reports::ExecutionCounts> measured;
};

// Statistics and calibrations are small; what is larger was named by mistake.
constexpr std::uint64_t kLargestInput = std::uint64_t{256} << 20;

Result<Inputs> read_inputs(const Options& options) {
    Inputs inputs;
    inputs.plan.technique = options.technique;
    if (!options.calibration.empty()) {
        const auto text = read_input_file(options.calibration, kLargestInput);
        if (!text) return tl::unexpected(text.error());
        auto costs = reports::parse_calibration_json(*text, options.calibration);
        if (!costs) return tl::unexpected(costs.error());
        inputs.plan.costs = std::move(*costs);
    }
    if (!options.profile_data.empty()) {
        const auto text = read_input_file(options.profile_data, kLargestInput);
        if (!text) return tl::unexpected(text.error());
        auto counts = reports::parse_execution_counts(*text, options.profile_data);
        if (!counts) return tl::unexpected(counts.error());
        inputs.plan.executions = counts->executions;
        inputs.measured = std::move(*counts);
    }
    return inputs;
}

/// Says how much of a profile is of the plan's sites: what is not has no part in the plan.
std::string describe_profile(const reports::ExecutionCounts& counts, const PlanDocument& plan) {
    std::uint64_t sites = 0, executions = 0;
    for (const PlannedSite& site : plan.sites) {
        sites += site.executions != 0 ? 1 : 0;
        executions = reports::saturating_sum(executions, site.executions);
    }
    std::string text = fmt::format("profile data: {} of {} sites that ran are in the plan, with {} of {} executions", reports::grouped(sites), reports::grouped(counts.sites),
                                   reports::grouped(executions), reports::grouped(counts.total));
    if (sites < counts.sites) text += "; the others are code of programs, modules or the decompressor, or code that the guest rewrote";
    return text;
}

Result<std::string> render(const PlanDocument& plan, const std::string& format) {
    if (format == "packed") {
        const patch::Buffer bytes = patch::encode_embedded_plan(plan);
        if (bytes.empty()) return fail(ErrorCode::unsupported, "the plan is too large to be packed (more than 4 MiB): use --format json", plan.image);
        return std::string(bytes.begin(), bytes.end());
    }
    return reports::collect([&](const reports::Sink& sink) {
        if (format == "text") reports::write_plan_text(plan, sink);
        else if (format == "csv") reports::write_patchlist_csv(plan, sink);
        else if (format == "include") reports::write_plan_include(plan, sink);
        else reports::write_plan_json(plan, sink);
    });
}

int run(const Options& options, const GlobalOptions& global) {
    const auto inputs = read_inputs(options);
    if (!inputs) {
        print_error(inputs.error());
        return exit_code(inputs.error());
    }
    const std::shared_future<ScanTools> tools = start_loading(options.images, global);
    if (!tools.get().ready()) return tools.get().failure;
    if (find_abi(tools.get().loaded->database, options.abi) == nullptr) return kUsage;
    std::optional<PlanDocument> plan;
    std::string second;
    int result = plan_images(
        options.images, global, tools, {options.abi, inputs->plan},
        [&](ScanDocument&& scan, PlanDocument&& planned) {
            if (!plan) plan = std::move(planned);
            else if (second.empty()) second = scan.image;
        },
        print_error);
    const auto refuse = [&](ErrorCode code, std::string message, const std::string& file) {
        const Error error{code, std::move(message), file, std::nullopt, {}};
        print_error(error);
        result = std::max(result, exit_code(error));
    };
    if (!second.empty())
        refuse(ErrorCode::refused, "found several images, expected one: a plan is for one file (`trapline audit` plans all of them)", second);
    else if (plan && inputs->measured && !inputs->measured->sha256.empty() && inputs->measured->sha256 != plan->sha256)
        refuse(ErrorCode::inconsistent, fmt::format("found counts for the image with sha256 {}, expected {}", inputs->measured->sha256, plan->sha256), options.profile_data);
    // A plan of half an image, or one that was told of another, must not look like a whole one.
    if (result != kDone || !plan) return result;
    if (inputs->measured) plan->notes.push_back(describe_profile(*inputs->measured, *plan));
    if (inputs->measured && !global.quiet) fmt::print(stderr, "trapline: {}\n", plan->notes.back());
    const auto text = render(*plan, options.format);
    const Status status = text ? write_output(options.output, *text) : Status(tl::unexpected(text.error()));
    if (!status) print_error(status.error());
    return status ? kDone : exit_code(status.error());
}

}  // namespace

Run add_plan(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("plan", "Say what to do about each critical or privileged site of an image");
    options->images.add_to(*command);
    command->get_option("IMAGE")->expected(1);
    command->add_option("--abi", options->abi, "hypercall interface to plan for (trapline isa list --abis)")->type_name("NAME")->capture_default_str();
    command->add_option("--technique", options->technique, "code for every site that is worth more than a trap, or only for what must have it and what the profile shows hot")
        ->type_name("hypercall|auto")->capture_default_str()->check(CLI::IsMember({"hypercall", "auto"}).description(""));
    command->add_option("--profile-data", options->profile_data, "how often each site ran: statistics of `trapline run --stats`, or part, address and executions by another counter; hot sites choose first, places that are no sites of the plan are counted and said")->type_name("STATS");
    command->add_option("--calibration", options->calibration, "what events cost on the host that will run it, for the estimates")->type_name("FILE");
    command->add_option("--format", options->format, "the document, a list for people, a table, a text that GNU as includes, or only what `trapline run` needs, small and quickly read")
        ->type_name("json|text|csv|include|packed")->capture_default_str()->check(CLI::IsMember({"json", "text", "csv", "include", "packed"}).description(""));
    command->add_option("-o,--output", options->output, "write to FILE instead of standard output")->type_name("FILE");
    command->footer("Example: trapline plan /boot/vmlinuz-$(uname -r) --abi trapline -o plan.json");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
