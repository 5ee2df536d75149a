// SPDX-License-Identifier: Apache-2.0
// Opens and scans; knows nothing of output formats.
#include "cli/scan_images.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>

#include "scan/decode_ahead.h"

namespace trapline::cli {

namespace {

// Section indexes have 32 bits, in ELF and in image::SectionIndex.
constexpr std::uint64_t kMaxCount = 0xFFFFFFFF;

std::optional<std::uint64_t> parse_address(std::string text) {
    int base = 10;
    if (text.rfind("0x", 0) == 0 || text.rfind("0X", 0) == 0) {
        text.erase(0, 2);
        base = 16;
    }
    std::uint64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (code != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

void keep_section(ScanDocument& scan, const std::string& name) {
    std::erase_if(scan.sections, [&](const SectionSummary& section) { return section.name != name; });
    std::erase_if(scan.findings, [&](const Finding& finding) { return finding.section != name; });
}

using OnScan = std::function<void(ScanDocument&&, PlanDocument&&)>;

/// Collects the parts of one bzImage until another image begins. With a planner their plan too.
class PartCollector {
public:
    PartCollector(const OnScan& out, patch::Planner* planner) : out_(out), planner_(planner) {}

    void add(ScanDocument&& scan, const scan::CodeFacts* facts) {
        const std::string owner = owner_of(scan);
        if (owner != owner_) flush();
        if (facts != nullptr) planner_->add(scan, *facts);
        if (owner.empty()) return finish(scan.image, std::move(scan));
        owner_ = owner;
        parts_.push_back(std::move(scan));
    }
    void flush() {
        if (!parts_.empty()) finish(owner_, merge_parts(owner_, std::move(parts_)));
        parts_.clear();
        owner_.clear();
    }

private:
    void finish(const std::string& image, ScanDocument&& scan) {
        PlanDocument plan;
        if (planner_ != nullptr) plan = planner_->finish(image);
        out_(std::move(scan), std::move(plan));
    }
    // The name of the bzImage that an image is a part of; empty for every other image.
    static std::string owner_of(const ScanDocument& scan) {
        for (const char* part : {"!setup", "!stub", "!payload"}) {
            const std::string suffix = part;
            if (scan.image.size() > suffix.size() && scan.image.compare(scan.image.size() - suffix.size(), suffix.size(), suffix) == 0)
                return scan.image.substr(0, scan.image.size() - suffix.size());
        }
        return {};
    }

    const OnScan& out_;
    patch::Planner* planner_;
    std::string owner_;
    std::vector<ScanDocument> parts_;
};

}  // namespace

void ScanImagesOptions::add_to(CLI::App& command) {
    command.add_option("IMAGE", images, "kernels, modules, .deb packages, bzImages, compressed files; - for standard input")->required();
    command.add_option("--profile", profile, "profile that tags are asked for (trapline isa list --profiles)")->type_name("NAME")->capture_default_str();
    command.add_option("--section", section, "only the sections of this name")->type_name("NAME");
    command.add_option("--jobs,-j", jobs, "threads; 0 for all processors")->type_name("N")->capture_default_str()->check(CLI::Range(0, 4096).description(""));
    auto* raw_option = command.add_option("--raw", raw, "the file is raw code of this width")->type_name("16|32|64")->check(CLI::IsMember({"16", "32", "64"}).description(""));
    command.add_option("--base", base, "address of the first raw byte, decimal or 0x hex")->type_name("ADDR")->capture_default_str()->needs(raw_option);
    command.add_option("--max-size", max_size, "bytes that one layer of a file may expand to")->type_name("SIZE")->capture_default_str()->transform(CLI::AsSizeValue(false).description(""));
    CLI::Validator count = CLI::Range(std::uint64_t{1}, kMaxCount);
    count.description("");
    command.add_option("--max-members", max_members, "members that one archive may have")->type_name("N")->capture_default_str()->check(count);
    command.add_option("--max-sections", max_sections, "sections that one ELF file may have")->type_name("N")->capture_default_str()->check(count);
}

std::shared_future<ScanTools> start_loading(const ScanImagesOptions& options, const GlobalOptions& global) {
    return std::async(std::launch::async, [&options, &global] {
        ScanTools tools;
        tools.loaded = load(global);
        const isa::Profile* profile = tools.loaded ? find_profile(tools.loaded->database, options.profile) : nullptr;
        if (profile != nullptr) tools.tags = std::make_unique<classify::TagTable>(tools.loaded->database, *profile);
        else tools.failure = tools.loaded ? kUsage : kBadInput;
        return tools;
    }).share();
}

namespace {

int run_images(const ScanImagesOptions& options, const GlobalOptions& global, const std::shared_future<ScanTools>& tools, const PlanRequest* request,
               const OnScan& on_scan, const std::function<void(const Error&)>& on_error) {
    image::OpenOptions open;
    open.max_decompressed = options.max_size;
    open.max_members = options.max_members;
    open.max_sections = options.max_sections;
    if (!options.raw.empty()) {
        open.raw = options.raw == "16" ? image::CodeWidth::bits16 : options.raw == "32" ? image::CodeWidth::bits32 : image::CodeWidth::bits64;
        const auto base = parse_address(options.base);
        if (!base) {
            fmt::print(stderr, "trapline: error: found --base {}, expected an address such as 0x7c00\n", options.base);
            return kUsage;
        }
        open.raw_base = VirtAddr{*base};
    }
    if (options.jobs != 1)
        open.decode_ahead = [&tools](const image::ExpandingBytes& file) {
            const ScanTools& ready = tools.get();
            return ready.ready() ? scan::decode_ahead(file, ready.loaded->database, *ready.tags) : nullptr;
        };
    Progress progress(!global.quiet);
    open.progress = [&](std::string_view what) { progress.update(what, 0, 0); };
    int result = kDone;
    std::size_t images = 0, images_with_code = 0;
    std::future<void> retired;  // the image before; there are never more than two
    const auto note_error = [&](const Error& error) {
        progress.clear();
        on_error(error);
        result = std::max(result, exit_code(error));
    };
    for (const std::string& path : options.images) {
        std::unique_ptr<patch::Planner> planner;
        std::optional<PartCollector> collector;
        bool known_abi = true;
        const auto sink = [&](image::Image&& image) {
            if (retired.valid()) retired.get();
            if (!tools.get().ready()) return false;
            if (request != nullptr && planner == nullptr) {
                const isa::Abi* abi = find_abi(tools.get().loaded->database, request->abi);
                if (abi == nullptr) return known_abi = false;
                planner = std::make_unique<patch::Planner>(tools.get().loaded->database, *abi, request->options);
            }
            if (!collector) collector.emplace(on_scan, planner.get());
            scan::ScanOptions scan_options;
            scan_options.jobs = options.jobs;
            // A plan needs the facts of all code, so the sections that were not asked for are left out afterwards.
            if (planner == nullptr) scan_options.section = options.section;
            scan_options.count_all = options.count_all;
            scan_options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.update(image.name, done, total); };
            std::shared_ptr<const void> used;
            scan_options.retire = [&used](std::shared_ptr<const void> work) { used = std::move(work); };
            const isa::Database& database = tools.get().loaded->database;
            std::optional<scan::ScanWithFacts> planned;
            if (planner != nullptr) planned = scan::scan_with_facts(image, database, *tools.get().tags, scan_options);
            ScanDocument scan = planned ? std::move(planned->document) : scan::scan(image, database, *tools.get().tags, scan_options);
            if (planned && !options.section.empty()) keep_section(scan, options.section);
            // Taking a kernel's symbols and tables apart takes as long as printing the findings. A plan still looks at them.
            if (!planned)
                retired = std::async(std::launch::async, [last = std::move(image), used = std::move(used)]() mutable {
                    used = {};
                    last = {};
                });
            progress.clear();
            ++images;
            images_with_code += !scan.sections.empty();
            scan.program_version = TRAPLINE_VERSION;
            collector->add(std::move(scan), planned ? &planned->facts : nullptr);
            return true;
        };
        const Status status = image::open_images(path, open, sink, note_error);
        if (!tools.get().ready()) return tools.get().failure;
        if (!known_abi) return kUsage;
        if (collector) collector->flush();
        if (!status) note_error(status.error());
    }
    // A misspelt name must not look like a kernel without findings.
    if (!options.section.empty() && images > 0 && images_with_code == 0)
        note_error(Error{ErrorCode::malformed, "found no executable section named \"" + options.section + "\", expected one of the image's", options.images.front(), std::nullopt, {}});
    return result;
}

}  // namespace

int scan_images(const ScanImagesOptions& options, const GlobalOptions& global, const std::shared_future<ScanTools>& tools,
                const std::function<void(ScanDocument&&)>& on_scan, const std::function<void(const Error&)>& on_error) {
    return run_images(options, global, tools, nullptr, [&](ScanDocument&& scan, PlanDocument&&) { on_scan(std::move(scan)); }, on_error);
}

int plan_images(const ScanImagesOptions& options, const GlobalOptions& global, const std::shared_future<ScanTools>& tools, const PlanRequest& request,
                const std::function<void(ScanDocument&&, PlanDocument&&)>& on_plan, const std::function<void(const Error&)>& on_error) {
    return run_images(options, global, tools, &request, on_plan, on_error);
}

}  // namespace trapline::cli
