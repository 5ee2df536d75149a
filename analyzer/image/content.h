// SPDX-License-Identifier: Apache-2.0
// Tells what a run of bytes is from the bytes alone, and the layer (file, member, decompressed stream) they belong to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/bytes.h"

namespace trapline::image {

class CodeAhead;
struct EarlyKallsyms;

/// What the opener knows how to name. The compressed ones come as the kernel's build makes them.
enum class Content : std::uint8_t {
    elf, bzimage, gzip, bzip2, xz, lzma, lzo, lz4_legacy, lz4_frame, zstd, ar, pe, empty, unknown,
};
std::string_view to_string(Content content);  ///< "elf", "xz", ...: also the name of the wrapper in Image::wrappers

/// Names the content by its magic numbers; `unknown` when none fits. Never looks at more than the first 1 KiB.
Content identify(ByteView view);

/// Says whether the content is a compressed stream that decompress() opens.
bool is_compressed(Content content);

/// One file at some depth: what was handed in, a member of a package, or what a stream expanded to.
struct Layer {
    std::string name;                   ///< for messages: "a.deb!boot/vmlinuz"
    std::shared_ptr<const std::vector<std::uint8_t>> storage;
    std::vector<std::string> wrappers;  ///< outermost first
    int depth = 0;                      ///< layers around this one
    std::string sha256;                 ///< of the bytes; empty when nobody has hashed them yet
    std::shared_ptr<CodeAhead> code_ahead;  ///< of the bytes; null when nobody has looked
    std::shared_ptr<const EarlyKallsyms> kallsyms;  ///< in the bytes; null when nobody has looked, or there are none

    Bytes bytes() const { return {storage->data(), storage->size()}; }
    ByteView view() const { return ByteView(bytes()); }
};

/// Makes the layer that `bytes` of `outer` expanded to; `member` is appended to the name after '!' unless empty.
Layer inner_layer(const Layer& outer, std::vector<std::uint8_t> bytes, std::string_view wrapper, std::string_view member = {});

}  // namespace trapline::image
