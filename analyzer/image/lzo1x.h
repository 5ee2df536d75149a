// SPDX-License-Identifier: Apache-2.0
// LZO1X, the compression inside lzop files. Written here since the library for it, liblzo2, is GPL: linked with it, the
// program could not be passed on under its own licence.
#pragma once

#include <vector>

#include "support/bytes.h"

namespace trapline::image {

/// Expands one LZO1X block of exactly `expected` bytes to the end of `out`. Gives what is wrong with the block, in words;
/// null when it was sound. After a failure `out` is as it was. Source: Linux Documentation/staging/lzo.rst.
const char* expand_lzo1x(Bytes block, std::size_t expected, std::vector<std::uint8_t>& out);

}  // namespace trapline::image
