// SPDX-License-Identifier: Apache-2.0
#include "cli/cache_folder.h"

#include <cstdlib>

namespace trapline::cli {

Result<std::filesystem::path> cache_folder() {
    const char* const xdg = std::getenv("XDG_CACHE_HOME");
    const char* const home = std::getenv("HOME");
    if (xdg != nullptr && xdg[0] == '/') return std::filesystem::path(xdg) / "trapline";
    if (home != nullptr && *home != 0) return std::filesystem::path(home) / ".cache" / "trapline";
    return fail(ErrorCode::host_limit, "neither XDG_CACHE_HOME nor HOME is set");
}

}  // namespace trapline::cli
