// SPDX-License-Identifier: Apache-2.0
// trapline report: one page of the documents that other commands wrote about one image.
#include <fmt/core.h>

#include <algorithm>
#include <list>
#include <optional>

#include "cli/command.h"
#include "cli/input_file.h"
#include "cli/scan_report.h"
#include "reports/document_kind.h"
#include "reports/plan_json.h"
#include "reports/report_html.h"
#include "reports/scan_json.h"
#include "reports/stats_json.h"
#include "reports/text_encoding.h"

namespace trapline::cli {

namespace {

struct Options {
    std::vector<std::string> documents;
    std::string output;
};

// A scan of a stock kernel has 15 MB. What is much larger was named by mistake, or to eat memory.
constexpr std::uint64_t kLargestDocument = std::uint64_t{256} << 20;
/// More runs than this nobody compares on one page.
constexpr std::size_t kMostRuns = 16;

/// The documents of one report, with the names that errors call them by.
class Documents {
public:
    /// Reads one more; it has to be of the image that the first one is of.
    Status add(const std::string& path) {
        const std::string name = path == "-" ? "standard input" : path;
        const auto text = read_input_file(path, kLargestDocument);
        if (!text) return tl::unexpected(text.error());
        const auto kind = reports::find_document_kind(*text, name);
        if (!kind) return tl::unexpected(kind.error());
        switch (*kind) {
            case reports::DocumentKind::scan: return take(reports::parse_scan_json(*text, name), name, scan_, "scan");
            case reports::DocumentKind::plan: return take(reports::parse_plan_json(*text, name), name, plan_, "plan");
            case reports::DocumentKind::stats: return add_run(reports::parse_stats_json(*text, name), name);
        }
        return {};
    }

    /// What one document alone cannot show.
    Status check() const {
        if (scan_ && plan_ && scan_->profile != plan_->profile)
            return fail(ErrorCode::inconsistent, fmt::format("found a plan under the profile {}, expected {}, the scan's", reports::printable(plan_->profile), reports::printable(scan_->profile)), plan_name_);
        return {};
    }

    const std::optional<ScanDocument>& scan() const { return scan_; }
    reports::ReportDocuments all() const {
        reports::ReportDocuments documents{scan_ ? &*scan_ : nullptr, plan_ ? &*plan_ : nullptr, {}};
        for (const auto& [name, run] : runs_) documents.runs.push_back({name, &run});
        return documents;
    }

private:
    template <class Document>
    Status take(Result<Document> document, const std::string& name, std::optional<Document>& place, std::string_view what) {
        if (!document) return tl::unexpected(document.error());
        if (place) return fail(ErrorCode::refused, fmt::format("found a second {}, expected one of an image at most", what), name);
        if (Status same = check_image(document->sha256, name, "/image/sha256"); !same) return same;
        place = std::move(*document);
        if (what == "plan") plan_name_ = name;
        return {};
    }
    Status add_run(Result<RunStatistics> run, const std::string& name) {
        if (!run) return tl::unexpected(run.error());
        if (runs_.size() == kMostRuns) return fail(ErrorCode::refused, fmt::format("found more than {} runs, expected no more in one report", kMostRuns), name);
        if (Status same = check_image(run->sha256, name, "/image/sha256"); !same) return same;
        runs_.emplace_back(name, std::move(*run));
        return {};
    }
    /// A document without a hash (a raw image's may be) is believed.
    Status check_image(const std::string& sha256, const std::string& name, const char* pointer) {
        if (sha256.empty()) return {};
        if (sha256_.empty()) {
            sha256_ = sha256;
            first_ = name;
        }
        if (sha256 == sha256_) return {};
        return tl::unexpected(Error{ErrorCode::inconsistent, fmt::format("found a document of the image with sha256 {}, expected {} as in {}: a report is about one image",
                                                                         reports::printable(sha256), reports::printable(sha256_), first_), name, std::nullopt, pointer});
    }

    std::optional<ScanDocument> scan_;
    std::optional<PlanDocument> plan_;
    std::list<std::pair<std::string, RunStatistics>> runs_;
    std::string sha256_, first_, plan_name_;
};

int report(const Error& error) {
    print_error(error);
    return exit_code(error);
}

int run(const Options& options, const GlobalOptions& global) {
    if (std::count(options.documents.begin(), options.documents.end(), "-") > 1) {
        fmt::print(stderr, "trapline: error: DOCUMENT: found - twice, expected standard input once at most\n");
        return kUsage;
    }
    Documents documents;
    for (const std::string& path : options.documents)
        if (const Status status = documents.add(path); !status) return report(status.error());
    if (const Status status = documents.check(); !status) return report(status.error());

    reports::ReportExtras extras;
    std::optional<AbiDistance> distance;
    if (documents.scan()) {
        // Only the database that the scan was made with can comment on it.
        const auto loaded = load(global);
        if (!loaded) return kBadInput;
        const isa::Profile* const profile = loaded->database.find_profile(documents.scan()->profile);
        if (profile != nullptr && loaded->database.version == documents.scan()->database_version) {
            const classify::TagTable tags(loaded->database, *profile);
            ScanCommentary commentary(loaded->database, tags);
            extras.verdict_text = commentary.verdict_of(*documents.scan());
            distance = commentary.distance_of(*documents.scan());
            extras.distance = distance ? &*distance : nullptr;
        } else if (!global.quiet) {
            print_warning(fmt::format("the scan was made with another database ({}, here {}): theorems and distances are left out", reports::printable(documents.scan()->database_version),
                                      loaded->database.version));
        }
    }
    if (const Status status = write_output(options.output, reports::render_report_html(documents.all(), extras)); !status) return report(status.error());
    return kDone;
}

}  // namespace

Run add_report(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("report", "Show a scan, a plan and runs of one image on one HTML page");
    command->add_option("DOCUMENT", options->documents, "scan.json, plan.json and statistics of trapline run --stats, in any order, all of one image; - is standard input")
        ->type_name("SCAN|PLAN|STATS")->required();
    command->add_option("-o,--output", options->output, "write to FILE instead of standard output")->type_name("FILE");
    command->footer("One scan and one plan at most, and up to 16 runs, which are compared. Documents of different images are refused. Beside a\n"
                    "scan or a plan the places that ran have names, and beside a plan the page says what more would be worth a patch.\n"
                    "Example: trapline run vmlinuz --initrd initrd.img --stats stats.json && trapline report plan.json stats.json -o report.html");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
