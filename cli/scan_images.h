// SPDX-License-Identifier: Apache-2.0
// What scan and audit share: opening every image of a path, scanning it, and putting a bzImage's parts together.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <string>

#include "cli/command.h"
#include "image/image.h"
#include "patch/planner.h"
#include "scan/scanner.h"

namespace trapline::cli {

/// Options of both commands, as CLI.md names them.
struct ScanImagesOptions {
    std::vector<std::string> images;
    std::string profile = "base";
    std::string section;
    std::string raw;         ///< "16", "32" or "64"; empty for images with a format
    std::string base = "0";  ///< address of the first raw byte
    int jobs = 0;
    bool count_all = false;
    std::uint64_t max_size = std::uint64_t{1} << 30;
    std::uint64_t max_members = image::OpenOptions{}.max_members;
    std::uint64_t max_sections = image::OpenOptions{}.max_sections;

    /// Adds the options to a command.
    void add_to(CLI::App& command);
};

/// The database with the tags of one profile.
struct ScanTools {
    std::unique_ptr<LoadedDatabase> loaded;
    std::unique_ptr<classify::TagTable> tags;
    int failure = kDone;  ///< exit code; then the others are null and the reason has been printed

    bool ready() const { return tags != nullptr; }
};

/// Loads the database and derives the tags on a thread of its own, while an image is read and unpacked.
std::shared_future<ScanTools> start_loading(const ScanImagesOptions& options, const GlobalOptions& global);

/// Scans every image in every path and hands the documents out one at a time, so that only one is in memory. An image
/// that cannot be opened is reported with `on_error` and the rest goes on. Gives the exit code: kDone, kBadInput, kUsage,
/// or the tools' failure.
int scan_images(const ScanImagesOptions& options, const GlobalOptions& global, const std::shared_future<ScanTools>& tools,
                const std::function<void(ScanDocument&&)>& on_scan, const std::function<void(const Error&)>& on_error);

/// Asks for plans besides.
struct PlanRequest {
    std::string abi = "trapline";
    patch::PlanOptions options;
};

/// The same with a plan for every image.
int plan_images(const ScanImagesOptions& options, const GlobalOptions& global, const std::shared_future<ScanTools>& tools, const PlanRequest& request,
                const std::function<void(ScanDocument&&, PlanDocument&&)>& on_plan, const std::function<void(const Error&)>& on_error);

}  // namespace trapline::cli
