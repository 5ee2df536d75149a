// SPDX-License-Identifier: Apache-2.0
// trapline patch: follows a plan, or undoes one.
#include <fmt/core.h>


#include "cli/command.h"
#include "cli/input_file.h"
#include "cli/plan_file.h"
#include "patch/rewrite.h"

namespace trapline::cli {

namespace {

struct Options {
    std::string image;
    std::string plan;
    std::string output;
    bool undo = false;
};

// Kernels with debug information pass a gigabyte; beyond this limit something else was named by mistake.
constexpr std::uint64_t kLargestFile = std::uint64_t{4} << 30;

Bytes as_bytes(const std::string& text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

Result<patch::Rewritten> make(const Options& options) {
    const auto image = read_input_file(options.image, kLargestFile);
    if (!image) return tl::unexpected(image.error());
    if (options.undo) return patch::undo_image(as_bytes(*image), options.image);
    const auto plan = read_plan_document(options.plan);
    if (!plan) return tl::unexpected(plan.error());
    return patch::rewrite_image(as_bytes(*image), *plan, options.image);
}

int run(const Options& options, const GlobalOptions& global) {
    if (options.undo == !options.plan.empty()) {
        fmt::print(stderr, "trapline: error: expected either --plan PLAN or --undo\n");
        return kUsage;
    }
    const auto made = make(options);
    if (!made) {
        print_error(made.error());
        return exit_code(made.error());
    }
    const auto* data = reinterpret_cast<const char*>(made->bytes.data());
    if (Status written = write_output(options.output, {data, made->bytes.size()}); !written) {
        print_error(written.error());
        return exit_code(written.error());
    }
    if (global.quiet) return kDone;
    for (const std::string& note : made->notes) print_warning(note);
    if (made->unchanged) print_warning("the image is already patched with this plan: the output is the same");
    return kDone;
}

}  // namespace

Run add_patch(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("patch", "Write a patched image as a plan says, or restore the original");
    command->add_option("IMAGE", options->image, "ELF file or bzImage; with --undo one that was patched")->required();
    command->add_option("--plan", options->plan, "plan made for this image (trapline plan)")->type_name("PLAN");
    command->add_flag("--undo", options->undo, "restore the file that was patched, bit for bit");
    command->add_option("-o,--output", options->output, "file to write; - for standard output")->required()->type_name("OUT");
    command->footer(
        "Nothing is written unless everything in the plan fits the image: its sha256, the bytes at every place.\n"
        "Example: trapline patch vmlinuz --plan plan.json -o vmlinuz.patched\n"
        "         trapline patch --undo vmlinuz.patched -o vmlinuz");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
