// SPDX-License-Identifier: Apache-2.0
// Reads through the C library, which serves standard input and files alike.
#include "cli/input_file.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace trapline::cli {

Result<std::string> read_input_file(const std::string& path, std::uint64_t limit) {
    const bool standard = path == "-";
    const std::string name = standard ? "standard input" : path;
    struct stat info {};
    if (!standard && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return fail(ErrorCode::io, "is a folder, expected a file", name);
    const auto close = [standard](std::FILE* file) {
        if (file != nullptr && !standard) std::fclose(file);
    };
    const std::unique_ptr<std::FILE, decltype(close)> file(standard ? stdin : std::fopen(path.c_str(), "rb"), close);
    if (!file) return fail(ErrorCode::io, fmt::format("cannot be opened for reading: {}", std::strerror(errno)), name);
    std::string text, chunk(std::size_t{1} << 16, '\0');
    while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
        text.append(chunk, 0, count);
        if (text.size() > limit) return fail(ErrorCode::refused, fmt::format("found more than {} bytes", limit), name);
    }
    if (std::ferror(file.get()) != 0) return fail(ErrorCode::io, fmt::format("cannot read: {}", std::strerror(errno)), name);
    return text;
}

}  // namespace trapline::cli
