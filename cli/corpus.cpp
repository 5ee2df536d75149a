// SPDX-License-Identifier: Apache-2.0
// trapline corpus: real images by name, fetched with apt into a cache of our own and held to their hashes.
#include <fcntl.h>
#include <fmt/core.h>
#include <fnmatch.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/apt.h"
#include "cli/cache_folder.h"
#include "cli/catalogue.h"
#include "cli/command.h"

namespace trapline::cli {

namespace {

namespace fs = std::filesystem;

constexpr int kListsStayFreshHours = 6;
constexpr std::size_t kMostVersionsTried = 4;

struct Options {
    std::string cache;
    std::string format = "text";
    std::string name;
    bool refresh = false;
};

/// One cache folder: <root>/lock.json, <root>/<name>/..., <root>/apt/<architecture>/...
class Cache {
public:
    explicit Cache(fs::path root) : root_(std::move(root)) {}
    const fs::path& root() const { return root_; }
    std::string lock_path() const { return (root_ / "lock.json").string(); }
    std::string absolute(const std::string& relative) const { return (root_ / relative).string(); }
    std::string relative(const std::string& path) const { return fs::path(path).lexically_relative(root_).generic_string(); }

private:
    fs::path root_;
};

/// Keeps two fetches from writing the same cache at once; freed when it goes.
class CacheGuard {
public:
    explicit CacheGuard(const Cache& cache) : descriptor_(::open((cache.root() / ".guard").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666)) {
        if (descriptor_ >= 0) ::flock(descriptor_, LOCK_EX);
    }
    CacheGuard(const CacheGuard&) = delete;
    ~CacheGuard() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

private:
    int descriptor_;
};

Result<Cache> open_cache(const Options& options) {
    fs::path root = options.cache;
    if (root.empty()) {
        const auto folder = cache_folder();
        if (!folder) return fail(ErrorCode::host_limit, folder.error().message + ", expected --cache DIR");
        root = *folder;
    }
    std::error_code code;
    root = fs::absolute(root, code).lexically_normal();
    fs::create_directories(root, code);
    if (code) return fail(ErrorCode::host_limit, "cannot make the cache folder: " + code.message(), root.string());
    return Cache(root);
}

const CatalogueEntry* find_entry(const std::string& name) {
    for (const CatalogueEntry& entry : catalogue())
        if (entry.name == name) return &entry;
    return nullptr;
}

bool fits(const std::string& pattern, const std::string& text) { return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0; }

/// Checks one fetched image against its hash and its format.
Status verify(const Cache& cache, const CatalogueEntry* entry, const LockedImage& image) {
    const std::string path = cache.absolute(image.file);
    const auto hash = sha256_of_file(path);
    if (!hash) return tl::unexpected<Error>(hash.error());
    if (*hash != image.sha256) return fail(ErrorCode::inconsistent, fmt::format("found sha256 {}, expected {} (the lock file's)", *hash, image.sha256), path);
    if (entry == nullptr) return {};
    const auto format = format_of_file(path);
    if (!format) return tl::unexpected<Error>(format.error());
    if (*format != entry->format) return fail(ErrorCode::inconsistent, fmt::format("found format {}, expected {} (the catalogue's)", *format, entry->format), path);
    return {};
}

/// Gives the versions of the package that holds the image, newest first.
Result<std::vector<PackageVersion>> candidates(const PrivateApt& apt, const CatalogueEntry& entry) {
    auto versions = apt.show(entry.package);
    if (!versions) return versions;
    std::vector<PackageVersion> found;
    for (const PackageVersion& version : *versions) {
        if (!fits(entry.version, version.version)) continue;
        if (entry.through.empty()) {
            found.push_back(version);
            continue;
        }
        for (const std::string& name : version.depends) {
            if (!fits(entry.through, name)) continue;
            auto real = apt.show(name);
            if (!real) return real;
            for (PackageVersion& each : *real)
                if (fits(entry.version, each.version)) found.push_back(std::move(each));
        }
    }
    if (found.size() > kMostVersionsTried) found.resize(kMostVersionsTried);
    return found;
}

/// Downloads one version and puts the image where it stays. After a failure the cache is as it was.
Result<LockedImage> place(const Cache& cache, const PrivateApt& apt, const CatalogueEntry& entry, const PackageVersion& version) {
    std::string work = (cache.root() / "fetch.XXXXXX").string();
    if (::mkdtemp(work.data()) == nullptr) return fail(ErrorCode::io, "cannot make a folder", work);
    struct Remover {
        std::string path;
        ~Remover() {
            std::error_code ignored;
            fs::remove_all(path, ignored);
        }
    } const remover{work};
    const auto deb = apt.download(version, work);
    if (!deb) return tl::unexpected<Error>(deb.error());
    LockedImage image;
    image.package = version.name;
    image.version = version.version;
    image.architecture = entry.architecture;
    const auto deb_hash = sha256_of_file(*deb);
    if (!deb_hash) return tl::unexpected<Error>(deb_hash.error());
    if (!version.sha256.empty() && *deb_hash != version.sha256)
        return fail(ErrorCode::inconsistent, fmt::format("found sha256 {}, expected {} (the package lists')", *deb_hash, version.sha256), *deb);
    image.deb_sha256 = *deb_hash;
    std::string file = *deb;
    if (!entry.path.empty()) {
        const auto extracted = extract_member(*deb, entry.path, work);
        if (!extracted) return tl::unexpected<Error>(extracted.error());
        file = *extracted;
    }
    const auto hash = sha256_of_file(file);
    if (!hash) return tl::unexpected<Error>(hash.error());
    image.sha256 = *hash;
    const fs::path home = cache.root() / entry.name;
    std::error_code code;
    fs::remove_all(home, code);
    if (!code) fs::rename(work, home, code);
    if (code) return fail(ErrorCode::io, "cannot move the finished download: " + code.message(), home.string());
    // mkdtemp makes folders for the owner alone; the cache is as open as its parent.
    fs::permissions(home, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec, code);
    const auto moved = [&](const std::string& path) { return (fs::path(entry.name) / fs::path(path).lexically_relative(work)).generic_string(); };
    image.deb = moved(*deb);
    image.file = moved(file);
    return image;
}

/// Fetches the newest version that can be had; the error says what was tried.
Result<LockedImage> fetch(const Cache& cache, const CatalogueEntry& entry, const GlobalOptions& global) {
    const auto apt = PrivateApt::open((cache.root() / "apt" / entry.architecture).string(), entry.architecture);
    if (!apt) return tl::unexpected<Error>(apt.error());
    std::string trouble;
    const auto note = [&](const Error& error) { trouble += (trouble.empty() ? "" : "; ") + error.message; };
    for (const bool after_update : {false, true}) {
        if (!after_update && !apt->has_lists(kListsStayFreshHours)) continue;
        if (after_update) {
            if (!global.quiet) fmt::print(stderr, "trapline: fetching the package lists of {}\n", entry.architecture);
            // One source of several out of reach is not the end: the others' lists may hold the package.
            if (Status updated = apt->update(); !updated) note(updated.error());
        }
        const auto versions = candidates(*apt, entry);
        if (!versions) return tl::unexpected<Error>(versions.error());
        for (const PackageVersion& version : *versions) {
            if (!global.quiet) fmt::print(stderr, "trapline: fetching {} {} ({})\n", version.name, version.version, entry.architecture);
            auto image = place(cache, *apt, entry, version);
            if (image) return image;
            note(image.error());
        }
        if (versions->empty()) note(Error{ErrorCode::host_limit, fmt::format("the system's package sources offer no {} of version {} for {}", entry.package, entry.version, entry.architecture), {}, {}, {}});
    }
    return fail(ErrorCode::host_limit, fmt::format("cannot fetch {}: {}", entry.name, trouble));
}

int run_fetch(const Options& options, const GlobalOptions& global) {
    const CatalogueEntry* entry = find_entry(options.name);
    if (entry == nullptr) {
        fmt::print(stderr, "trapline: error: unknown image \"{}\" (trapline corpus list)\n", options.name);
        return kUsage;
    }
    const auto cache = open_cache(options);
    if (!cache) {
        print_error(cache.error());
        return exit_code(cache.error());
    }
    const CacheGuard guard(*cache);
    auto lock = read_lock(cache->lock_path());
    if (!lock) {
        print_error(lock.error());
        return exit_code(lock.error());
    }
    const auto held = lock->find(entry->name);
    if (held != lock->end() && !options.refresh) {
        const Status verified = verify(*cache, entry, held->second);
        if (verified) {
            fmt::print("{}\n", cache->absolute(held->second.file));
            return kDone;
        }
        print_warning("fetching again: " + verified.error().describe());
    }
    auto image = fetch(*cache, *entry, global);
    if (image) {
        const Status verified = verify(*cache, entry, *image);
        if (!verified) image = tl::unexpected<Error>(verified.error());
    }
    if (!image) {
        print_error(image.error());
        return kHostLimit;
    }
    (*lock)[entry->name] = *image;
    if (Status written = write_lock(cache->lock_path(), *lock); !written) {
        print_error(written.error());
        return kHostLimit;
    }
    fmt::print("{}\n", cache->absolute(image->file));
    return kDone;
}

int run_list(const Options& options) {
    const auto cache = open_cache(options);
    const auto lock = cache ? read_lock(cache->lock_path()) : Result<LockFile>(LockFile{});
    if (!lock) print_warning(lock.error().describe());
    const auto fetched = [&](const CatalogueEntry& entry) -> const LockedImage* {
        if (!lock) return nullptr;
        const auto found = lock->find(entry.name);
        return found == lock->end() ? nullptr : &found->second;
    };
    if (options.format == "json") {
        nlohmann::ordered_json document = {{"schema", "trapline.corpus-list/1"}, {"images", nlohmann::ordered_json::array()}};
        for (const CatalogueEntry& entry : catalogue()) {
            nlohmann::ordered_json row = {{"name", entry.name}, {"title", entry.title}, {"package", entry.package}, {"architecture", entry.architecture}, {"format", entry.format}};
            if (const LockedImage* image = fetched(entry))
                row["fetched"] = {{"package", image->package}, {"version", image->version}, {"file", cache->absolute(image->file)}, {"sha256", image->sha256}};
            document["images"].push_back(std::move(row));
        }
        fmt::print("{}\n", document.dump(1));
        return kDone;
    }
    std::size_t widest = 0;
    for (const CatalogueEntry& entry : catalogue()) widest = std::max(widest, entry.name.size());
    fmt::print("{:{}} {:6} {:8} {:20} {}\n", "NAME", widest, "ARCH", "FORMAT", "FETCHED", "WHAT");
    for (const CatalogueEntry& entry : catalogue()) {
        const LockedImage* image = fetched(entry);
        fmt::print("{:{}} {:6} {:8} {:20} {}\n", entry.name, widest, entry.architecture, entry.format, image != nullptr ? image->version : "-", entry.title);
    }
    return kDone;
}

int run_check(const Options& options) {
    const auto cache = open_cache(options);
    if (!cache) {
        print_error(cache.error());
        return exit_code(cache.error());
    }
    const auto lock = read_lock(cache->lock_path());
    if (!lock) {
        print_error(lock.error());
        return kBadInput;
    }
    int result = kDone;
    std::size_t widest = 0;
    for (const auto& [name, image] : *lock) widest = std::max(widest, name.size());
    for (const auto& [name, image] : *lock) {
        const Status verified = verify(*cache, find_entry(name), image);
        fmt::print("{:{}} {:20} {}\n", name, widest, image.version, verified ? "ok" : verified.error().describe());
        if (!verified) result = kBadInput;
    }
    fmt::print("{} of {} images fetched, in {}\n", lock->size(), catalogue().size(), cache->root().string());
    return result;
}

}  // namespace

Run add_corpus(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("corpus", "Fetch real images by name and check them");
    command->require_subcommand(1);
    command->add_option("--cache", options->cache, "folder of fetched images; otherwise ${XDG_CACHE_HOME:-~/.cache}/trapline")->type_name("DIR");
    CLI::App* list_command = command->add_subcommand("list", "List the images of the catalogue and what is fetched");
    list_command->add_option("--format", options->format, "text or json")->capture_default_str()->check(CLI::IsMember({"text", "json"}));
    CLI::App* fetch_command = command->add_subcommand("fetch", "Fetch one image and print its path; uses the cached copy when its hash is right");
    fetch_command->add_option("NAME", options->name, "a name of the catalogue")->required();
    fetch_command->add_flag("--refresh", options->refresh, "ask for the newest version even if one is cached");
    command->add_subcommand("check", "Check every fetched image against its hash and its format");
    command->footer("Packages come through apt from the system's own sources, with lists of their own: nothing is installed and the\n"
                    "system's apt is not touched. Exit 5 when a package cannot be had.");
    return [=, &global]() -> int {
        if (fetch_command->parsed()) return run_fetch(*options, global);
        if (list_command->parsed()) return run_list(*options);
        return run_check(*options);
    };
}

}  // namespace trapline::cli
