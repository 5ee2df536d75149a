// SPDX-License-Identifier: Apache-2.0
#include "cli/cache_folder.h"

#include <cstdlib>

namespace trapline::cli {

Result<std::filesystem::path> cache_folder() {
    const char* const xdg = std::getenv("XDG_CACHE_HOME");
    const char* const home = std::getenv("HOME");
    if (xdg != nullptr && xdg[0] == '/') return std::filesystem::path(xdg) / "trapline";
    // Accounts of services have homes that are not there, and are not to get one.
    std::error_code code;
    if (home != nullptr && std::filesystem::is_directory(home, code)) return std::filesystem::path(home) / ".cache" / "trapline";
    return fail(ErrorCode::host_limit, "XDG_CACHE_HOME is not set, and HOME is no folder");
}

}  // namespace trapline::cli
