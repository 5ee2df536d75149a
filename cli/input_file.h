// SPDX-License-Identifier: Apache-2.0
// Whole files that commands read: plans and the like.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/error.h"

namespace trapline::cli {

/// Reads a file; "-" is standard input. Fails with `io`, and with `refused` beyond `limit` bytes, of which no more than that
/// are held.
Result<std::string> read_input_file(const std::string& path, std::uint64_t limit = std::uint64_t{1} << 30);
/// The same as bytes.
Result<std::vector<std::uint8_t>> read_input_bytes(const std::string& path, std::uint64_t limit);

}  // namespace trapline::cli
