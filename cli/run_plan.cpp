// SPDX-License-Identifier: Apache-2.0
#include "cli/run_plan.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>

#include "cli/kept_plans.h"
#include "cli/plan_file.h"
#include "cli/scan_images.h"
#include "patch/embedded_plan.h"

namespace trapline::cli {

Result<PlanDocument> read_plan(const std::string& path, const GuestFiles& files, bool whole) {
    auto plan = whole ? read_plan_document(path) : read_any_plan(path);
    if (!plan) return plan;
    // A bzImage is known as it is, by its boot code's parts; to unpack it for the kernel's hash takes longer than to read a plan.
    const std::string file = sha256_of(files);
    if (plan->sha256 == file || std::any_of(plan->parts.begin(), plan->parts.end(), [&](const PlanImage& part) { return part.sha256 == file; })) return plan;
    const std::string sha256 = find_parts(files, true).sha256;
    if (plan->sha256 != sha256)
        return fail(ErrorCode::refused, fmt::format("found a plan of the image with sha256 {}, expected {} (the image's own): plan this image", plan->sha256, sha256), path);
    return plan;
}

/// The planner opens images by name, so what has been read already gets one.
Result<PlanDocument> make_plan(const GuestFiles& files, const GlobalOptions& global) {
    const int file = memfd_create("trapline-image", 0);
    if (file < 0 || ::write(file, files.image.data(), files.image.size()) != static_cast<ssize_t>(files.image.size()))
        return fail(ErrorCode::host_limit, fmt::format("no memory for the image: {}", std::strerror(errno)), files.name);
    GlobalOptions quiet = global;
    quiet.quiet = true;
    ScanImagesOptions options;
    options.images = {fmt::format("/proc/self/fd/{}", file)};
    const std::shared_future<ScanTools> tools = start_loading(options, quiet);
    std::optional<PlanDocument> made;
    std::optional<Error> failure;
    plan_images(options, quiet, tools, {}, [&](ScanDocument&&, PlanDocument&& plan) { made = std::move(plan); }, [&](const Error& error) { failure = error; });
    if (made) {
        made->image = std::filesystem::path(files.name).filename().string();  // as if the file had been planned itself
        return std::move(*made);
    }
    if (!failure) return fail(ErrorCode::unsupported, "the image cannot be planned", files.name);
    failure->file = files.name;
    return tl::unexpected(*failure);
}

namespace {

Result<PlanDocument> take_embedded_plan(const GuestFiles& files) {
    auto plan = patch::decode_embedded_plan(files.plan, files.name);
    if (plan && plan->sha256 != sha256_of(files))
        return fail(ErrorCode::refused, fmt::format("{}: found the plan of an image with sha256 {}, expected {}: patch the image again", patch::kPlanSection, plan->sha256, sha256_of(files)), files.name);
    return plan;
}

/// What a plan that an earlier run has kept gives, or a new one, which is kept if it has taken long.
Result<executor::PlanPatches> find_or_make_patches(const GuestFiles& files, const GlobalOptions& global, bool fresh) {
    constexpr std::chrono::milliseconds kLong{100};
    const bool keeps = !fresh && global.isa_directory.empty();
    if (keeps)
        if (const auto kept = find_kept_plan(files))
            if (auto patches = executor::PlanPatches::create(*kept)) return patches;
    const auto began = std::chrono::steady_clock::now();
    const auto made = make_plan(files, global);
    if (!made) return tl::unexpected(made.error());
    if (keeps && std::chrono::steady_clock::now() - began >= kLong) keep_plan(files, *made);
    return executor::PlanPatches::create(*made);
}

Result<executor::PlanPatches> patches_of(const Result<PlanDocument>& plan) {
    return plan ? executor::PlanPatches::create(*plan) : tl::unexpected(plan.error());
}

}  // namespace

executor::MakePlan plan_maker(const PlanSource& source, const GuestFiles& files, const GlobalOptions& global) {
    return [source, &files, &global]() -> Result<std::vector<std::uint8_t>> {
        const auto patches = !source.path.empty()  ? patches_of(read_plan(source.path, files))
                             : !files.plan.empty() ? patches_of(take_embedded_plan(files))
                                                   : find_or_make_patches(files, global, source.fresh);
        if (patches) return patches->encode();
        // In a run it is the monitor that contradicts itself; a plan that does is bad input.
        Error error = patches.error();
        if (error.code == ErrorCode::inconsistent) error.code = ErrorCode::refused;
        return tl::unexpected(std::move(error));
    };
}

}  // namespace trapline::cli
