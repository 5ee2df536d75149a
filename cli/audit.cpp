// SPDX-License-Identifier: Apache-2.0
// trapline audit: the main job. Scans, classifies and plans each image, writes its reports, and says what was found.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "cli/scan_images.h"
#include "cli/scan_report.h"
#include "reports/patchlist_csv.h"
#include "reports/plan_json.h"
#include "reports/report_html.h"
#include "reports/sarif.h"
#include "reports/scan_json.h"
#include "reports/summary.h"

namespace trapline::cli {

namespace {

struct Options {
    ScanImagesOptions images;
    std::string directory = "trapline-audit";
    std::string fail_on;
};

/// Totals over a batch: a package holds thousands of modules, and a summary of each would bury the kernel's.
struct Totals {
    std::size_t images = 0, quiet_images = 0, findings = 0, critical = 0, unplanned = 0;
};

// "linux.deb!boot/vmlinuz-6.1" becomes "linux.deb/boot/vmlinuz-6.1"; nothing that leads out of the folder survives.
std::filesystem::path folder_for(const std::string& directory, const std::string& image, std::set<std::string>& taken) {
    std::string clean;
    for (const char c : image) clean += c == '!' ? '/' : (static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == ':') ? '_' : c;
    std::filesystem::path path;
    for (const std::filesystem::path& part : std::filesystem::path(clean).relative_path())
        if (part != "." && part != ".." && !part.empty()) path /= part;
    if (path.empty()) path = "image";
    std::string name = path.string();
    for (int copy = 2; !taken.insert(name).second; ++copy) name = path.string() + "-" + std::to_string(copy);
    return std::filesystem::path(directory) / name;
}

class Auditor {
public:
    Auditor(const Options& options, const isa::Database& database, const classify::TagTable& tags)
        : options_(options), commentary_(database, tags) {}

    void add(const ScanDocument& scan, const PlanDocument& plan) {
        const auto critical = static_cast<std::size_t>(std::count_if(scan.findings.begin(), scan.findings.end(), [](const Finding& f) { return f.critical; }));
        const auto unplanned = static_cast<std::size_t>(
            std::count_if(plan.sites.begin(), plan.sites.end(), [](const PlannedSite& site) { return site.critical && site.technique == Technique::unplanned; }));
        ++totals_.images;
        totals_.findings += scan.findings.size();
        totals_.critical += critical;
        totals_.unplanned += unplanned;
        // A package's module without a finding needs no folder of its own; what the user named always gets its report.
        const bool inside_package = scan.image.find('!') != std::string::npos;
        if (scan.relocatable && scan.findings.empty() && inside_package) {
            ++totals_.quiet_images;
            return;
        }
        const std::filesystem::path folder = folder_for(options_.directory, scan.image, taken_);
        const std::optional<AbiDistance> distance = commentary_.distance_of(scan);
        const AbiDistance* const shown = distance ? &*distance : nullptr;
        const bool written = write(folder, scan, plan, shown);
        if (!scan.relocatable || totals_.images == 1) last_ = reports::render_summary(scan, &plan, {use_colour(), 12, shown});
        const std::filesystem::path report = written ? folder / "report.html" : std::filesystem::path();
        if (!scan.relocatable) print_last(report);
        else module_report_ = report;
    }
    /// Prints what waits for the end: the summary of a module that was audited alone, and the totals of a batch.
    void finish() {
        if (totals_.images == 1) print_last(module_report_);
        if (totals_.images > 1)
            fmt::print("\nIn all {} images: {} findings, {} critical, {} of them without a plan; {} modules without a finding. Reports in {}\n", totals_.images,
                       totals_.findings, totals_.critical, totals_.unplanned, totals_.quiet_images, options_.directory);
    }
    const Totals& totals() const { return totals_; }
    int result() const { return result_; }

private:
    // An empty path says that the report could not be written.
    void print_last(const std::filesystem::path& report) {
        if (last_.empty()) return;
        fmt::print("{}{}", last_, report.empty() ? "" : "report: " + report.string() + "\n");
        last_.clear();
    }
    // Writes the five reports; false when one could not be written, which is then printed and kept in the result.
    bool write(const std::filesystem::path& folder, const ScanDocument& scan, const PlanDocument& plan, const AbiDistance* distance) {
        std::error_code code;
        std::filesystem::create_directories(folder, code);
        if (code) {
            note(Error{ErrorCode::io, "cannot create the folder: " + code.message(), folder.string(), std::nullopt, {}});
            return false;
        }
        bool written = true;
        reports::ReportExtras extras;
        extras.verdict_text = commentary_.verdict_of(scan);
        extras.distance = distance;
        const auto put = [&](const char* name, const std::string& text) {
            const Status status = write_output((folder / name).string(), text);
            if (!status) note(status.error());
            written = written && status;
        };
        put("scan.json", reports::render_scan_json(scan));
        put("plan.json", reports::render_plan_json(plan));
        put("patchlist.csv", reports::collect([&](const reports::Sink& sink) { reports::write_patchlist_csv(plan, sink); }));
        put("findings.sarif", reports::render_sarif(scan));
        put("report.html", reports::render_report_html({&scan, &plan, {}}, extras));
        return written;
    }
    void note(const Error& error) {
        print_error(error);
        result_ = std::max(result_, exit_code(error));
    }

    const Options& options_;
    ScanCommentary commentary_;
    std::set<std::string> taken_;
    std::string last_;
    std::filesystem::path module_report_;
    Totals totals_;
    int result_ = kDone;
};

int run(const Options& options, const GlobalOptions& global) {
    const std::shared_future<ScanTools> tools = start_loading(options.images, global);
    if (!tools.get().ready()) return tools.get().failure;
    Auditor auditor(options, tools.get().loaded->database, *tools.get().tags);
    int result = plan_images(options.images, global, tools, {}, [&](ScanDocument&& scan, PlanDocument&& plan) { auditor.add(scan, plan); }, print_error);
    auditor.finish();
    result = std::max(result, auditor.result());
    if (result != kDone) return result;
    const bool failed = (options.fail_on == "critical" && auditor.totals().critical > 0) || (options.fail_on == "unplanned" && auditor.totals().unplanned > 0);
    return failed ? kFindings : kDone;
}

}  // namespace

Run add_audit(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("audit", "Scan, classify and plan images, and write their reports");
    options->images.add_to(*command);
    command->add_option("-o,--output", options->directory, "folder for the reports: DIR/<image>/{scan.json, plan.json, patchlist.csv, findings.sarif, report.html}")
        ->type_name("DIR")
        ->capture_default_str();
    command->add_option("--fail-on", options->fail_on, "exit 1 where a critical site, or a critical site without a plan, is found")
        ->type_name("critical|unplanned")->check(CLI::IsMember({"critical", "unplanned"}).description(""));
    command->footer("Example: trapline audit /boot/vmlinuz-$(uname -r) -o audit");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
