// SPDX-License-Identifier: Apache-2.0
// Where the program keeps what it can get or make again.
#pragma once

#include <filesystem>

#include "support/error.h"

namespace trapline::cli {

/// ${XDG_CACHE_HOME:-~/.cache}/trapline, which need not exist. Fails with `host_limit` where that variable is not set and HOME names no folder.
Result<std::filesystem::path> cache_folder();

}  // namespace trapline::cli
