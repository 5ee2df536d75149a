// SPDX-License-Identifier: Apache-2.0
// Makes compressed kernel payloads, as the kernel's build does (scripts/Makefile.lib, scripts/xz_wrap.sh) and its
// decompressors accept them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/content.h"
#include "support/error.h"

namespace trapline::image {

/// How a stream is made. The same packing, bytes and libraries give the same stream.
struct Packing {
    Content how = Content::unknown;
    std::uint8_t strength = 0;     ///< 0: as the kernel's build does it; 1: smaller and slower, where the format has such
    std::uint32_t dictionary = 0;  ///< xz and lzma: bytes
    bool x86_filter = false;       ///< xz: branch targets made absolute first
};

/// Reads from a stream how it was made, at strength 0. Fails with `unsupported` for LZO, whose library is not linked, for LZ4
/// frames, which no kernel opens, and for xz filters that kernels do not use; `malformed` for a damaged header.
Result<Packing> packing_of(Content how, Bytes stream, const std::string& name);

/// The strengths that the format has: 1 or 2.
std::uint8_t strengths(Content how);

/// Compresses into one stream, without the size that the kernel's build appends. Fails with `host_limit` when memory does
/// not suffice, `unsupported` when the libraries of this machine lack the format. Memory: the result and the encoder's
/// own, some 11 times the dictionary for xz. Cost: 15 MB take xz 7 s at strength 0, 8 s at 1 (one core).
Result<std::vector<std::uint8_t>> compress(const Packing& packing, Bytes bytes, const std::string& name);

}  // namespace trapline::image
