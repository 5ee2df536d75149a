// SPDX-License-Identifier: Apache-2.0
// Holds the proofs against Unicorn: the reference machine on random instructions, and the patches of an image.
//
//   unicorn_oracle --machine COUNT [--seed N]
//   unicorn_oracle --image FILE [--states N] [--least N] [--seed N]
//
// Exit codes: 0 all agree or are explained, 1 something differs, 2 usage, 3 bad input.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "isa/loader.h"
#include "patch/planner.h"
#include "patch/proof/placed_plan.h"
#include "patch/self_moving.h"
#include "scan/scanner.h"
#include "unicorn_machine.h"
#include "unicorn_patches.h"

using namespace trapline;

namespace {

/// Where the boot stub of a bzImage is run: not where its bytes are counted from.
constexpr std::uint64_t kLoadedAt = 0x100000;

struct Options {
    std::uint64_t machine = 0, seed = 1, least = 0;
    unsigned states = 4;
    std::string image;
};

int compare_machines(const isa::Abi& abi, const Options& options) {
    std::uint64_t failures = 0;
    for (const Mode mode : {Mode::protected32, Mode::long64}) {
        const auto layout = patch::proof::read_layout(abi, mode);
        if (!layout) {
            fmt::print(stderr, "{}\n", layout.error().describe());
            return 3;
        }
        for (const int cpl : {0, 3}) {
            const MachineComparison done = compare_machine(*layout, cpl, options.machine / 4, options.seed);
            fmt::print("mode {} CPL {}: {} instructions compared, {} explained, {} different\n", to_string(mode), cpl, done.compared, done.explained, done.failures);
            failures += done.failures;
        }
    }
    return failures == 0 ? 0 : 1;
}

int compare_image(const isa::Database& database, const isa::Abi& abi, const Options& options) {
    const classify::TagTable tags(database, *database.find_profile("base"));
    PatchComparison all;
    const auto one = [&](image::Image&& image) {
        const scan::ScanWithFacts scan = scan::scan_with_facts(image, database, tags, {});
        patch::Planner planner(database, abi, {});
        planner.add(scan.document, scan.facts);
        PlanDocument plan = planner.finish(image.name);
        const bool moves = patch::moves_itself(image);
        if (moves) plan = patch::place_boot_stub(std::move(plan), kLoadedAt);
        const auto read = [&](std::string_view section, std::uint64_t address, std::uint64_t size) {
            const std::uint64_t place = moves ? address - kLoadedAt : address;
            for (const image::Section& candidate : image.sections)
                if (candidate.name == section && place >= candidate.address.value)
                    if (const auto bytes = ByteView(candidate.bytes).slice(place - candidate.address.value, size)) return *bytes;
            return Bytes{};
        };
        const PatchComparison done = compare_patches(plan, patch::proof::WindowBuilder(plan, read, abi), abi, options.states, options.seed);
        fmt::print("{}: {} of {} patches compared in {} states, {} different\n", image.name, done.patches, plan.patches.size(), done.states, done.failures);
        for (const auto& [why, count] : done.left_out) fmt::print("{:>8} left out: {}\n", count, why);
        all.patches += done.patches;
        all.failures += done.failures;
        return true;
    };
    bool failed = false;
    const auto on_error = [&](const Error& error) {
        failed = true;
        fmt::print(stderr, "{}\n", error.describe());
    };
    if (const Status status = image::open_images(options.image, {}, one, on_error); !status) on_error(status.error());
    if (failed) return 3;
    if (all.patches < options.least) {
        fmt::print("found {} patches that could be compared, expected at least {}\n", all.patches, options.least);
        return 1;
    }
    return all.failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Holds the proofs against Unicorn");
    app.add_option("--machine", options.machine, "random instructions to run");
    app.add_option("--image", options.image, "plan this image and run its patches");
    app.add_option("--states", options.states, "states for each entry of each patch");
    app.add_option("--least", options.least, "fail when fewer patches could be compared");
    app.add_option("--seed", options.seed, "of instructions and states");
    CLI11_PARSE(app, argc, argv);
    isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    outcome.database.index();
    const isa::Abi* const abi = outcome.database.find_abi("trapline");
    if (!outcome.errors.empty() || abi == nullptr) {
        fmt::print(stderr, "the database does not load\n");
        return 3;
    }
    int result = 0;
    if (options.machine != 0) result = std::max(result, compare_machines(*abi, options));
    if (!options.image.empty()) result = std::max(result, compare_image(outcome.database, *abi, options));
    return result;
}
