// SPDX-License-Identifier: Apache-2.0
// apt-get, apt-cache and dpkg-deb as sub-processes.
#include "cli/apt.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <sstream>

#include "cli/command.h"
#include "cli/subprocess.h"

namespace trapline::cli {

namespace fs = std::filesystem;

namespace {

std::string last_line(std::string_view text) {
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    const auto newline = text.rfind('\n');
    return std::string(newline == std::string_view::npos ? text : text.substr(newline + 1));
}

/// The line that tells most: apt ends with a summary, and says before it which address failed and why.
std::string telling_line(std::string_view text) {
    for (const std::string_view sign : {"E: Failed to fetch", "W: Failed to fetch"})
        if (const auto begin = text.find(sign); begin != std::string_view::npos) return std::string(text.substr(begin, text.find('\n', begin) - begin));
    return last_line(text);
}

/// Runs a program of apt's family; a failure carries what it said about it.
Result<std::string> run(const Arguments& arguments, const std::string& directory = {}) {
    auto outcome = run_process(arguments, directory);
    if (!outcome) return tl::unexpected<Error>(outcome.error());
    if (outcome->status != 0)
        return fail(ErrorCode::host_limit, fmt::format("{} {} ended with {}: {}", arguments[0], arguments.size() > 2 ? arguments[2] : arguments.back(),
                                                       outcome->status, telling_line(outcome->errors)));
    return std::move(outcome->output);
}

/// Every setting the system's configuration may have made that would reach outside the folder or fetch more than lists.
std::string configuration_text(const std::string& folder, const std::string& architecture) {
    return fmt::format(R"(Dir::State "{0}/state";
Dir::State::lists "{0}/state/lists";
Dir::State::status "{0}/state/status";
Dir::State::extended_states "{0}/state/extended_states";
Dir::Cache "{0}/cache";
Dir::Cache::archives "{0}/cache/archives";
APT::Architecture "{1}";
#clear APT::Architectures;
APT::Architectures {{ "{1}"; }};
// Started as root, apt would hand the download to a user who may not enter this folder.
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "1";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
)",
                       folder, architecture);
}

bool is_plain(std::string_view text, std::string_view extra) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || extra.find(c) != std::string_view::npos;
    });
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

std::vector<std::string> dependency_names(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of(",|"), text.size());
        const std::string_view item = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::string_view name = item.substr(0, item.find_first_of(" (:["));
        if (!name.empty()) names.emplace_back(name);
    }
    return names;
}

}  // namespace

std::vector<PackageVersion> parse_stanzas(std::string_view text) {
    std::vector<PackageVersion> versions;
    PackageVersion current;
    std::istringstream lines{std::string(text)};
    std::string line;
    const auto finish = [&] {
        if (!current.name.empty() && !current.version.empty()) versions.push_back(std::move(current));
        current = {};
    };
    while (std::getline(lines, line)) {
        if (line.empty()) {
            finish();
            continue;
        }
        const auto colon = line.find(':');
        if (line[0] == ' ' || colon == std::string::npos) continue;
        const std::string_view key = std::string_view(line).substr(0, colon), value = trimmed(std::string_view(line).substr(colon + 1));
        if (key == "Package") current.name = value;
        else if (key == "Version") current.version = value;
        else if (key == "SHA256") current.sha256 = value;
        else if (key == "Depends") current.depends = dependency_names(value);
    }
    finish();
    return versions;
}

Result<std::string> apt_version() {
    for (const char* program : {"apt-cache", "dpkg-deb"})
        if (auto found = run({program, "--version"}); !found) return found;
    auto text = run({"apt-get", "--version"});
    if (!text) return text;
    return text->substr(0, text->find('\n'));
}

Result<PrivateApt> PrivateApt::open(const std::string& folder, const std::string& architecture) {
    if (auto version = apt_version(); !version) return tl::unexpected<Error>(std::move(version.error()).within("packages come through apt"));
    std::error_code code;
    const std::string root = fs::absolute(folder, code).lexically_normal().string();
    if (code || root.find_first_of("\"\n\\;{}") != std::string::npos)
        return fail(ErrorCode::refused, "found a quote, brace, semicolon, backslash or newline in the cache's path: apt's configuration cannot name it", folder);
    for (const char* part : {"state/lists/partial", "cache/archives/partial"}) {
        fs::create_directories(fs::path(root) / part, code);
        if (code) return fail(ErrorCode::io, "cannot make the folder: " + code.message(), (fs::path(root) / part).string());
    }
    if (!is_plain(architecture, "-")) return fail(ErrorCode::malformed, "found architecture \"" + architecture + "\", expected a name such as i386");
    const std::string configuration = root + "/apt.conf";
    // An empty status file: nothing is installed as far as this apt knows, so that nothing of the system bears on its choice.
    if (Status written = write_output(root + "/state/status", ""); !written) return tl::unexpected<Error>(written.error());
    if (Status written = write_output(configuration, configuration_text(root, architecture)); !written) return tl::unexpected<Error>(written.error());
    return PrivateApt(root, configuration);
}

Status PrivateApt::update() const {
    auto done = run({"apt-get", "-c=" + configuration_, "update", "-q", "--error-on=any"});
    if (!done) return tl::unexpected<Error>(done.error());
    return {};
}

bool PrivateApt::has_lists(int hours) const {
    std::error_code code;
    for (fs::directory_iterator it(folder_ + "/state/lists", code), end; !code && it != end; it.increment(code)) {
        if (it->path().filename().string().find("_Packages") == std::string::npos) continue;
        // The lists carry the archive's times; the lock file that apt touches at each update carries ours.
        const auto touched = fs::last_write_time(folder_ + "/state/lists/lock", code);
        return !code && fs::file_time_type::clock::now() - touched < std::chrono::hours(hours);
    }
    return false;
}

Result<std::vector<PackageVersion>> PrivateApt::show(const std::string& package) const {
    if (!is_plain(package, "+-.")) return fail(ErrorCode::malformed, "found package name \"" + package + "\", expected letters, digits and +-.");
    auto outcome = run_process({"apt-cache", "-c=" + configuration_, "show", package});
    if (!outcome) return tl::unexpected<Error>(outcome.error());
    // Status 100 is apt-cache's "no packages found".
    if (outcome->status != 0 && outcome->status != 100)
        return fail(ErrorCode::host_limit, fmt::format("apt-cache show {} ended with {}: {}", package, outcome->status, last_line(outcome->errors)));
    return parse_stanzas(outcome->output);
}

Result<std::string> PrivateApt::download(const PackageVersion& package, const std::string& directory) const {
    if (!is_plain(package.name, "+-.") || !is_plain(package.version, "+-.~:"))
        return fail(ErrorCode::malformed, fmt::format("found package \"{}={}\", expected a Debian name and version", package.name, package.version));
    auto done = run({"apt-get", "-c=" + configuration_, "download", "-q", package.name + "=" + package.version}, directory);
    if (!done) return tl::unexpected<Error>(done.error());
    std::error_code code;
    for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code))
        if (it->path().extension() == ".deb") return it->path().string();
    return fail(ErrorCode::host_limit, fmt::format("apt-get download {} left no .deb", package.name), directory);
}

Result<std::string> extract_member(const std::string& deb, const std::string& pattern, const std::string& directory) {
    auto outcome = run_pipeline({{"dpkg-deb", "--fsys-tarfile", deb},
                                 {"tar", "--extract", "--file=-", "--directory=" + directory, "--wildcards", "--no-wildcards-match-slash",
                                  "--no-same-owner", "--no-same-permissions", "--verbose", "./" + pattern}});
    if (!outcome) return tl::unexpected<Error>(outcome.error());
    if (outcome->status != 0)
        return fail(ErrorCode::malformed, fmt::format("cannot extract {}: {}", pattern, last_line(outcome->errors)), deb);
    std::vector<std::string> found;
    std::istringstream names(outcome->output);
    for (std::string name; std::getline(names, name);) {
        const fs::path path = fs::path(directory) / name;
        if (std::error_code code; fs::is_regular_file(fs::symlink_status(path, code))) found.push_back(path.lexically_normal().string());
    }
    if (found.size() != 1) return fail(ErrorCode::inconsistent, fmt::format("found {} files that match {}, expected one", found.size(), pattern), deb);
    return found[0];
}

}  // namespace trapline::cli
