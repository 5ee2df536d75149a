// SPDX-License-Identifier: Apache-2.0
// Reading the catalogue and the lock file.
#include "cli/catalogue.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/command.h"
#include "image/content.h"
#include "image/digest.h"
#include "isa/json_reader.h"

extern "C" const char trapline_catalogue[], trapline_catalogue_end[];

namespace trapline::cli {

namespace {

constexpr std::uint64_t kLargestFile = std::uint64_t{4} << 30;

Result<isa::Json> parse_json(std::string_view text, const std::string& file) {
    isa::Json json = isa::Json::parse(text, nullptr, false);
    if (json.is_discarded()) return fail(ErrorCode::malformed, "found text that is not JSON", file);
    return json;
}

Result<std::vector<std::uint8_t>> read_bytes(const std::string& path, std::uint64_t most) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return fail(ErrorCode::io, std::string("cannot open: ") + std::strerror(errno), path);
    std::error_code code;
    const std::uint64_t size = std::filesystem::file_size(path, code);
    if (code) return fail(ErrorCode::io, "cannot tell the size: " + code.message(), path);
    if (size > kLargestFile) return fail(ErrorCode::refused, "found " + std::to_string(size) + " bytes, expected at most 4 GiB", path);
    std::vector<std::uint8_t> bytes(std::min(size, most));
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!stream) return fail(ErrorCode::io, "cannot read", path);
    return bytes;
}

}  // namespace

Result<std::vector<CatalogueEntry>> parse_catalogue(std::string_view text, const std::string& file) {
    const auto json = parse_json(text, file);
    if (!json) return tl::unexpected<Error>(json.error());
    std::vector<Error> errors;
    std::vector<CatalogueEntry> entries;
    const isa::JsonCursor root(*json, file, "", errors);
    if (root.is_object({"schema", "title", "images"})) {
        std::string schema;
        root.read("schema", schema, true);
        if (schema != "trapline.corpus/1") root.refuse("found schema \"" + schema + "\", expected trapline.corpus/1");
        const auto images = root.member("images", true);
        for (const isa::JsonCursor& item : images ? images->elements() : std::vector<isa::JsonCursor>{}) {
            if (!item.is_object({"name", "title", "package", "through", "version", "architecture", "path", "format"})) continue;
            CatalogueEntry entry;
            item.read("name", entry.name, true);
            item.read("title", entry.title, true);
            item.read("package", entry.package, true);
            item.read("through", entry.through);
            item.read("version", entry.version, true);
            item.read("architecture", entry.architecture, true);
            item.read("path", entry.path);
            item.read("format", entry.format, true);
            // The name becomes a folder of the cache.
            if (entry.name.empty() || entry.name[0] == '.' || entry.name.find('/') != std::string::npos)
                item.refuse("found name \"" + entry.name + "\", expected one that can name a folder");
            if (std::any_of(entries.begin(), entries.end(), [&](const CatalogueEntry& other) { return other.name == entry.name; }))
                item.refuse("found \"" + entry.name + "\" a second time, expected each name once");
            entries.push_back(std::move(entry));
        }
    }
    if (!errors.empty()) return tl::unexpected<Error>(errors.front());
    return entries;
}

const std::vector<CatalogueEntry>& catalogue() {
    static const std::vector<CatalogueEntry> kEntries = [] {
        const std::string_view text(trapline_catalogue, static_cast<std::size_t>(trapline_catalogue_end - trapline_catalogue));
        auto parsed = parse_catalogue(text, "corpus/catalogue.json");
        TRAPLINE_ASSERT(parsed.has_value(), parsed.has_value() ? "" : parsed.error().describe().c_str());
        return std::move(*parsed);
    }();
    return kEntries;
}

Result<LockFile> read_lock(const std::string& path) {
    LockFile lock;
    std::error_code code;
    if (!std::filesystem::exists(path, code)) return lock;
    const auto bytes = read_bytes(path, kLargestFile);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    const auto json = parse_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, path);
    if (!json) return tl::unexpected<Error>(json.error());
    std::vector<Error> errors;
    const isa::JsonCursor root(*json, path, "", errors);
    if (root.is_object({"schema", "images"})) {
        std::string schema;
        root.read("schema", schema, true);
        if (schema != "trapline.corpus-lock/1") root.refuse("found schema \"" + schema + "\", expected trapline.corpus-lock/1");
        const auto images = root.member("images", true);
        if (images && !images->value().is_object()) images->refuse("expected an object of name: image");
        else if (images) {
            for (const auto& [name, ignored] : images->value().items()) {
                const auto item = images->member(name);
                if (!item->is_object({"package", "version", "architecture", "deb", "deb_sha256", "file", "sha256"})) continue;
                LockedImage image;
                item->read("package", image.package, true);
                item->read("version", image.version, true);
                item->read("architecture", image.architecture, true);
                item->read("deb", image.deb, true);
                item->read("deb_sha256", image.deb_sha256, true);
                item->read("file", image.file, true);
                item->read("sha256", image.sha256, true);
                lock.emplace(name, std::move(image));
            }
        }
    }
    if (!errors.empty()) return tl::unexpected<Error>(errors.front());
    return lock;
}

Status write_lock(const std::string& path, const LockFile& lock) {
    isa::Json images = isa::Json::object();
    for (const auto& [name, image] : lock)
        images[name] = {{"package", image.package}, {"version", image.version}, {"architecture", image.architecture}, {"deb", image.deb},
                        {"deb_sha256", image.deb_sha256}, {"file", image.file}, {"sha256", image.sha256}};
    return write_output(path, isa::Json{{"schema", "trapline.corpus-lock/1"}, {"images", images}}.dump(2) + "\n");
}

Result<std::string> sha256_of_file(const std::string& path) {
    const auto bytes = read_bytes(path, kLargestFile);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    return image::sha256_hex(*bytes);
}

Result<std::string> format_of_file(const std::string& path) {
    const auto bytes = read_bytes(path, 1024);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    const image::Content content = image::identify(ByteView(*bytes));
    return content == image::Content::unknown ? "raw" : std::string(image::to_string(content));
}

}  // namespace trapline::cli
