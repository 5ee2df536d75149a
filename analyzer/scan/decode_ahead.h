// SPDX-License-Identifier: Apache-2.0
// Decoding beside the decompressor, which leaves all processors but one idle for most of a scan's time.
#pragma once

#include "classify/tags.h"
#include "decode/structure.h"
#include "image/expanding_bytes.h"
#include "image/image.h"

namespace trapline::scan {

/// Bytes from an instruction's first on that must be there for a decoder to say the same of it whatever follows.
inline constexpr std::size_t kDecodeAheadWindow = decode::kMaxInstructionLength + 1;

/// Decodes an ELF file's executable segments while they arrive, and stops when all have. Where the boundaries of
/// instructions come to lie is a guess, since symbols are not known yet; but what it says of an offset is what the sweep
/// would find there, whose work is then to walk from one to the next. Null for what is no ELF file with code.
std::shared_ptr<image::CodeAhead> decode_ahead(const image::ExpandingBytes& file, const isa::Database& database, const classify::TagTable& tags);

}  // namespace trapline::scan
