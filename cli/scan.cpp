// SPDX-License-Identifier: Apache-2.0
// trapline scan: every sensitive and privileged instruction of images, in the shape that --format names.
#include <fmt/core.h>

#include "cli/scan_images.h"
#include "reports/sarif.h"
#include "reports/scan_csv.h"
#include "reports/scan_json.h"
#include "reports/scan_jsonl.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::cli {

namespace {

struct Options {
    ScanImagesOptions images;
    std::string format = "text";
    std::string output;
};

std::string place(const Finding& finding) {
    if (finding.symbol.empty()) return reports::printable(finding.section);
    const std::string symbol = reports::printable(finding.symbol);
    return finding.symbol_offset == 0 ? symbol : fmt::format("{}+{:#x}", symbol, finding.symbol_offset);
}

void append_text(const ScanDocument& scan, std::string& out) {
    out += fmt::format("{}: {} {}, {} finding(s) under {}\n", reports::printable(scan.image), scan.architecture, scan.format, scan.findings.size(), scan.profile);
    for (const Finding& finding : scan.findings) {
        out += fmt::format("{:>16x} {:8} {:<30} {:<38} {:22} {}{:9} {}{}", finding.address, finding.part.empty() ? to_string(finding.evidence) : finding.part,
                           to_hex(finding.bytes), finding.text, finding.privileged, finding.control_sensitive ? "control " : "        ",
                           finding.behavior_sensitive == "no" ? "" : finding.behavior_sensitive, finding.critical ? "CRITICAL " : "         ", place(finding));
        for (const FindingContext& context : finding.context) out += fmt::format(" [{}{}{}]", context.kind, context.detail.empty() ? "" : " ", context.detail);
        out += '\n';
    }
    if (!scan.all_mnemonics.empty()) {
        out += "every instruction by mnemonic:\n";
        for (const auto& [mnemonic, count] : scan.all_mnemonics) out += fmt::format("{:>10} {}\n", count, mnemonic);
    }
    for (const std::string& note : scan.notes) out += "note: " + reports::printable(note) + '\n';
}

/// Puts the documents of a batch together: one stands by itself, several become a JSON array, or runs of one SARIF log.
class Collector {
public:
    explicit Collector(std::string format) : format_(std::move(format)) {}

    void add(const ScanDocument& scan) {
        const reports::Sink sink = [this](std::string_view piece) { text_ += piece; };
        if (format_ == "text") append_text(scan, text_);
        else if (format_ == "jsonl") reports::write_scan_jsonl(scan, sink);
        else if (format_ == "csv") reports::write_scan_csv(scan, sink, text_.empty());
        else if (format_ == "sarif") runs_.push_back(scan);
        else append(reports::render_scan_json(scan));
    }
    void add(const std::string& image, const Error& error) {
        if (format_ == "jsonl") text_ += reports::render_error_json(image, error);
        else if (format_ == "json") append(reports::render_error_json(image, error));
    }
    std::string finish() {
        if (format_ == "sarif") reports::write_sarif(runs_, [this](std::string_view piece) { text_ += piece; });
        if (format_ == "json" && documents_ > 1) return "[\n" + text_ + "]\n";
        return std::move(text_);
    }

private:
    void append(const std::string& document) {
        if (documents_++ > 0) {
            while (!text_.empty() && text_.back() == '\n') text_.pop_back();
            text_ += ",\n";
        }
        text_ += document;
    }
    std::string format_;
    std::string text_;
    std::vector<ScanDocument> runs_;  // SARIF puts all runs into one log
    std::size_t documents_ = 0;
};

int run(const Options& options, const GlobalOptions& global) {
    // Never freed: the process ends with this command, and taking the database apart would be the last thing it waits for.
    static const auto* const kept = new std::shared_future<ScanTools>(start_loading(options.images, global));
    const std::shared_future<ScanTools>& tools = *kept;
    Collector collector(options.format);
    std::size_t scanned = 0;
    const int result = scan_images(
        options.images, global, tools,
        [&](ScanDocument&& scan) {
            ++scanned;
            collector.add(scan);
        },
        [&](const Error& error) {
            print_error(error);
            collector.add(error.file, error);
        });
    if (result == kUsage || scanned == 0) return result;  // no document of errors alone
    const Status status = write_output(options.output, collector.finish());
    if (!status) {
        print_error(status.error());
        return std::max(result, exit_code(status.error()));
    }
    return result;
}

}  // namespace

Run add_scan(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("scan", "Find every sensitive and privileged instruction of images");
    options->images.add_to(*command);
    command->add_flag("--all", options->images.count_all, "count innocuous instructions by mnemonic too");
    command->add_option("--format", options->format, "text, json, jsonl, csv or sarif")->capture_default_str()->type_name("text|json|jsonl|csv|sarif")->check(CLI::IsMember({"text", "json", "jsonl", "csv", "sarif"}).description(""));
    command->add_option("-o,--output", options->output, "write to FILE instead of standard output")->type_name("FILE");
    return [options, &global] { return run(*options, global); };
}

}  // namespace trapline::cli
