// SPDX-License-Identifier: Apache-2.0
// Opens and scans; knows nothing of output formats.
#include "cli/scan_images.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>

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

/// Collects the parts of one bzImage until another image begins.
class PartCollector {
public:
    explicit PartCollector(const std::function<void(ScanDocument&&)>& out) : out_(out) {}

    void add(ScanDocument&& scan) {
        const std::string owner = owner_of(scan);
        if (owner != owner_) flush();
        if (owner.empty()) return out_(std::move(scan));
        owner_ = owner;
        parts_.push_back(std::move(scan));
    }
    void flush() {
        if (!parts_.empty()) out_(merge_parts(owner_, std::move(parts_)));
        parts_.clear();
        owner_.clear();
    }

private:
    // The name of the bzImage that an image is a part of; empty for every other image.
    static std::string owner_of(const ScanDocument& scan) {
        for (const char* part : {"!setup", "!stub", "!payload"}) {
            const std::string suffix = part;
            if (scan.image.size() > suffix.size() && scan.image.compare(scan.image.size() - suffix.size(), suffix.size(), suffix) == 0)
                return scan.image.substr(0, scan.image.size() - suffix.size());
        }
        return {};
    }

    const std::function<void(ScanDocument&&)>& out_;
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

int scan_images(const ScanImagesOptions& options, const GlobalOptions& global, const std::shared_future<ScanTools>& tools,
                const std::function<void(ScanDocument&&)>& on_scan, const std::function<void(const Error&)>& on_error) {
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
    Progress progress(!global.quiet);
    open.progress = [&](std::string_view what) { progress.update(what, 0, 0); };
    int result = kDone;
    std::size_t images = 0, images_with_code = 0;
    const auto note_error = [&](const Error& error) {
        progress.clear();
        on_error(error);
        result = std::max(result, exit_code(error));
    };
    for (const std::string& path : options.images) {
        PartCollector collector(on_scan);
        const auto sink = [&](image::Image&& image) {
            if (!tools.get().ready()) return false;
            scan::ScanOptions scan_options;
            scan_options.jobs = options.jobs;
            scan_options.section = options.section;
            scan_options.count_all = options.count_all;
            scan_options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.update(image.name, done, total); };
            ScanDocument scan = scan::scan(image, tools.get().loaded->database, *tools.get().tags, scan_options);
            progress.clear();
            ++images;
            images_with_code += !scan.sections.empty();
            scan.program_version = TRAPLINE_VERSION;
            collector.add(std::move(scan));
            return true;
        };
        const Status status = image::open_images(path, open, sink, note_error);
        if (!tools.get().ready()) return tools.get().failure;
        collector.flush();
        if (!status) note_error(status.error());
    }
    // A misspelt name must not look like a kernel without findings.
    if (!options.section.empty() && images > 0 && images_with_code == 0)
        note_error(Error{ErrorCode::malformed, "found no executable section named \"" + options.section + "\", expected one of the image's", options.images.front(), std::nullopt, {}});
    return result;
}

}  // namespace trapline::cli
