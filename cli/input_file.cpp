// SPDX-License-Identifier: Apache-2.0
// Reads through the C library, which serves standard input and files alike.
#include "cli/input_file.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace trapline::cli {

namespace {

/// Memory that is touched once costs as much as the reading itself, so a file of known size is read to where it stays.
template <class Content>
Result<Content> read_content(const std::string& path, std::uint64_t limit) {
    const bool standard = path == "-";
    const std::string name = standard ? "standard input" : path;
    struct stat info {};
    if (!standard && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return fail(ErrorCode::io, "is a folder, expected a file", name);
    const auto close = [standard](std::FILE* file) {
        if (file != nullptr && !standard) std::fclose(file);
    };
    const std::unique_ptr<std::FILE, decltype(close)> file(standard ? stdin : std::fopen(path.c_str(), "rb"), close);
    if (!file) return fail(ErrorCode::io, fmt::format("cannot be opened for reading: {}", std::strerror(errno)), name);
    Content content;
    if (!standard && S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) <= limit) content.reserve(static_cast<std::size_t>(info.st_size) + 1);
    std::array<typename Content::value_type, std::size_t{1} << 16> chunk;
    while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
        content.insert(content.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(count));
        if (content.size() > limit) return fail(ErrorCode::refused, fmt::format("found more than {} bytes", limit), name);
    }
    if (std::ferror(file.get()) != 0) return fail(ErrorCode::io, fmt::format("cannot read: {}", std::strerror(errno)), name);
    return content;
}

}  // namespace

Result<std::string> read_input_file(const std::string& path, std::uint64_t limit) { return read_content<std::string>(path, limit); }
Result<std::vector<std::uint8_t>> read_input_bytes(const std::string& path, std::uint64_t limit) { return read_content<std::vector<std::uint8_t>>(path, limit); }

}  // namespace trapline::cli
