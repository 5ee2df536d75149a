// SPDX-License-Identifier: Apache-2.0
#include "cli/kept_plans.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>
#include <vector>

#include "cli/cache_folder.h"
#include "cli/command.h"
#include "cli/run_plan.h"
#include "patch/embedded_plan.h"

namespace trapline::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".plan";

/// The file's name, whether it is there or not; nothing where there is no place for it.
std::optional<fs::path> place_of(const GuestFiles& files) {
    const auto folder = cache_folder();
    struct stat program {};
    if (!folder || ::stat("/proc/self/exe", &program) != 0) return std::nullopt;
    const std::string maker = fmt::format("{:x}-{:x}{:08x}", program.st_size, program.st_mtim.tv_sec, program.st_mtim.tv_nsec);
    return *folder / "plans" / fmt::format("{}-{}{}", sha256_of(files), maker, kSuffix);
}

/// Removes those that have not been used for longest, and what runs have left that were ended while they wrote.
void forget_oldest(const fs::path& folder) {
    constexpr std::chrono::hours kLongGone{1};
    std::vector<std::pair<fs::file_time_type, fs::path>> kept;
    std::error_code code;
    for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
        const fs::file_time_type used = at->last_write_time(code);
        if (!code && at->path().extension() == kSuffix) kept.emplace_back(used, at->path());
        else if (!code && fs::file_time_type::clock::now() - used > kLongGone) fs::remove(at->path(), code);
        code.clear();  // another run may have removed it
    }
    std::sort(kept.rbegin(), kept.rend());
    for (std::size_t i = kMostKeptPlans; i < kept.size(); ++i) fs::remove(kept[i].second, code);
}

}  // namespace

std::optional<PlanDocument> find_kept_plan(const GuestFiles& files) {
    const auto place = place_of(files);
    std::error_code code;
    if (!place || !fs::exists(*place, code)) return std::nullopt;
    auto plan = read_plan(place->string(), files);
    if (!plan) return std::nullopt;
    fs::last_write_time(*place, fs::file_time_type::clock::now(), code);
    return std::move(*plan);
}

void keep_plan(const GuestFiles& files, const PlanDocument& plan) {
    const auto place = place_of(files);
    const patch::Buffer bytes = patch::encode_embedded_plan(plan);
    if (!place || bytes.empty()) return;
    std::error_code code;
    fs::create_directories(place->parent_path(), code);
    if (code || !write_output(place->string(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()})) return;
    forget_oldest(place->parent_path());
}

}  // namespace trapline::cli
