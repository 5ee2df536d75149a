// SPDX-License-Identifier: Apache-2.0
// Expands one compressed stream in memory, under a limit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/content.h"
#include "image/expanding_bytes.h"
#include "support/error.h"

namespace trapline::image {

/// Expands `bytes`, which identify() named `how` (one that is_compressed), to at most `limit` bytes. Exactly one layer
/// is removed. Fails with `refused` naming the limit and --max-size when the stream holds more, `truncated` when it
/// ends early, `malformed` when it is damaged. `name` is the file named in errors. Memory: the result, plus at most as
/// much again while it grows.
Result<std::vector<std::uint8_t>> decompress(Content how, Bytes bytes, std::uint64_t limit, const std::string& name);

/// The same into `out`, which others may follow meanwhile; it is finished afterwards. After a failure it holds a part.
Status expand(Content how, Bytes bytes, std::uint64_t limit, const std::string& name, ExpandingBytes& out);

/// Expands an XZ file of one stream with one block and a CRC32, as kernels' builds make it, and finishes `out`. False for
/// every other file, with nothing appended, and for a damaged one.
bool expand_xz_block(Bytes file, std::uint64_t limit, ExpandingBytes& out);

/// The same for a file of lzop (`89 4C 5A 4F ...`), which is how the kernel's build makes LZO payloads. Debian's
/// libarchive has no LZO of its own: it would start the program lzop, which this never does. The checksums that the file
/// has, of its header and of each block before and after, are held against the bytes.
Result<std::vector<std::uint8_t>> decompress_lzop(Bytes bytes, std::uint64_t limit, const std::string& name);

/// Expands one LZO1X block with liblzo2 and appends what it holds, exactly `expected` bytes, to `out`. Returns what was
/// wrong, null when nothing was; `out` is then as it was before.
const char* expand_lzo1x(Bytes block, std::size_t expected, std::vector<std::uint8_t>& out);

/// Makes the error of a layer that would expand beyond `limit`.
Error size_limit_error(std::uint64_t limit, const std::string& name);

}  // namespace trapline::image
