// SPDX-License-Identifier: Apache-2.0
#include "cli/run_plan.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "cli/input_file.h"
#include "cli/scan_images.h"
#include "reports/plan_json.h"

namespace trapline::cli {

Result<PlanDocument> read_plan(const std::string& path, const GuestFiles& files) {
    const auto text = read_input_file(path);
    if (!text) return tl::unexpected(text.error());
    auto plan = reports::parse_plan_json(*text, path);
    if (!plan) return plan;
    const std::string sha256 = find_parts(files, true).sha256;
    if (plan->sha256 != sha256)
        return fail(ErrorCode::inconsistent, fmt::format("found a plan of the image with sha256 {}, expected {} (the image's own): plan this image", plan->sha256, sha256), path);
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
    if (made) return std::move(*made);
    if (failure) return tl::unexpected(*failure);
    return fail(ErrorCode::unsupported, "the image cannot be planned", files.name);
}

executor::MakePlan plan_maker(const std::string& path, const GuestFiles& files, const GlobalOptions& global) {
    return [path, &files, &global]() -> Result<std::vector<std::uint8_t>> {
        const auto plan = path.empty() ? make_plan(files, global) : read_plan(path, files);
        if (!plan) return tl::unexpected(plan.error());
        const auto patches = executor::PlanPatches::create(*plan);
        if (!patches) return tl::unexpected(patches.error());
        return patches->encode();
    };
}

}  // namespace trapline::cli
