// SPDX-License-Identifier: Apache-2.0
// The SHA-256 that documents identify an image by.
#pragma once

#include <string>

#include "support/bytes.h"

namespace trapline::image {

/// Hashes the bytes with SHA-256; lower-case hex of 64 digits. 1 to 2 GB/s where the processor has the SHA extensions.
std::string sha256_hex(Bytes bytes);

}  // namespace trapline::image
