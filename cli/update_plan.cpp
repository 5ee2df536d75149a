// SPDX-License-Identifier: Apache-2.0
#include "cli/update_plan.h"

#include <fmt/core.h>

#include "cli/run_plan.h"
#include "image/image.h"
#include "patch/plan_update.h"
#include "reports/plan_json.h"

namespace trapline::cli {

namespace {

/// The sites of a run as the updater takes them. Counts of the several ways are one count: each is an execution.
std::vector<patch::ExecutedPlace> executed_places(const std::vector<executor::SiteRecord>& sites) {
    std::vector<patch::ExecutedPlace> places;
    places.reserve(sites.size());
    for (const executor::SiteRecord& site : sites) {
        patch::ExecutedPlace place{site.linear, {site.bytes.begin(), site.bytes.end()}, 0};
        for (std::size_t i = 0; i < executor::kArrivals; ++i) {
            const std::uint64_t count = site.counts[2 * i];
            place.executions = count > ~std::uint64_t{0} - place.executions ? ~std::uint64_t{0} : place.executions + count;
        }
        places.push_back(std::move(place));
    }
    return places;
}

/// The name that the plan has for a part of the image.
std::string part_of(const image::Image& image, const GuestFiles& files) {
    for (const char* part : {"setup", "stub", "payload"})
        if (image.name.ends_with(std::string("!") + part)) return part;
    return files.part;
}

}  // namespace

Status update_plan(const std::string& path, std::optional<PlanDocument>&& given, const GuestFiles& files, const std::vector<executor::SiteRecord>& sites,
                   const isa::Database& database, const GlobalOptions& global) {
    if (!given) {
        auto made = make_plan(files, global);
        if (!made) return tl::unexpected(made.error());
        given = std::move(*made);
    }
    PlanDocument& plan = *given;
    const isa::Abi* const abi = database.find_abi(plan.abi);
    if (abi == nullptr) return fail(ErrorCode::inconsistent, fmt::format("found a plan for the interface \"{}\", expected one that the database has", plan.abi), path);
    const isa::Profile* const profile = database.find_profile(plan.profile);
    if (profile == nullptr) return fail(ErrorCode::inconsistent, fmt::format("found a plan under the profile \"{}\", expected one that the database has", plan.profile), path);
    const classify::TagTable tags(database, *profile);
    patch::PlanUpdater updater(plan, database, tags, *abi, executed_places(sites));
    Status opened;
    const Status image = image::open_image_bytes(
        files.name, files.image, {},
        [&](image::Image&& one) {
            // A plan of a kernel that was taken out of its bzImage names no parts.
            const std::string part = part_of(one, files);
            updater.add(one, plan.parts.size() == 1 ? plan.parts.front().part : part);
            return true;
        },
        [&](const Error& error) {
            if (opened) opened = tl::unexpected(error);
        });
    if (!image) return image;
    if (!opened) return opened;
    const patch::PlanUpdate update = updater.finish();
    if (const Status written = write_output(path, reports::render_plan_json(plan)); !written) return written;
    if (global.quiet) return {};
    fmt::print(stderr, "trapline: plan: {} new sites, {} known ones counted", update.added, update.known);
    const auto say = [](std::uint64_t count, const char* what) {
        if (count != 0) fmt::print(stderr, "; {} {}", count, what);
    };
    say(update.left_out, "more left out");
    say(update.changed, "where the guest had changed the image's code");
    say(update.harmless, "that this profile has nothing against");
    say(update.elsewhere, "outside the image (modules, programs, code made at run time), not written");
    fmt::print(stderr, "\n");
    return {};
}

}  // namespace trapline::cli
