// SPDX-License-Identifier: Apache-2.0
// LZMA2, the compression inside XZ files. Written here since expanding its payload is four fifths of the time that scanning a
// kernel takes: with all of the contents at hand, and without a branch on bits that nobody can predict, it takes two thirds of
// what liblzma 5.4 needs.
#pragma once

#include <memory>
#include <vector>

#include "support/bytes.h"
#include "support/zeroed_bytes.h"

namespace trapline::image {

/// Expands one LZMA2 stream of known size, chunk by chunk. Sources: Igor Pavlov's LZMA specification, and the description of
/// LZMA2's chunks in Linux lib/xz/xz_dec_lzma2.c.
///
/// Everything that was expanded stays in one piece: matches are copied from there. No input makes it read outside `in` or keep
/// more than `size` bytes and the tables of the format, 30 KB.
class Lzma2Decoder {
public:
    /// `in` begins with the stream and may go on behind it; it must stay. `dictionary` is how far back matches may lead.
    Lzma2Decoder(Bytes in, std::uint64_t dictionary, std::size_t size);
    ~Lzma2Decoder();
    Lzma2Decoder(const Lzma2Decoder&) = delete;
    Lzma2Decoder& operator=(const Lzma2Decoder&) = delete;

    enum class State : std::uint8_t { more, end, damaged };
    /// Expands the next chunk, 2 MiB at most. `end`: the stream's end marker was read, nothing was added. `damaged` stays; what
    /// was expanded until then is of no use.
    State next();

    /// What was expanded so far.
    Bytes output() const { return {out_.data() + kBefore, used_}; }
    /// Bytes of `in` that were read.
    std::size_t consumed() const { return at_; }

private:
    struct Model;
    struct Chunk;

    /// A byte that stands before the first one, and what a copy of whole words may write behind the last one.
    static constexpr std::size_t kBefore = 16, kBehind = 32;

    State stop();
    bool copy_chunk(std::size_t size);
    bool lzma_chunk(Bytes packed, std::size_t size);
    bool set_properties(std::uint8_t byte);

    const Bytes in_;
    const std::uint64_t dictionary_;
    const std::size_t size_;
    ZeroedBytes out_;
    std::size_t used_ = 0, at_ = 0;
    std::size_t start_ = 0;  ///< of the dictionary, which a chunk may empty
    bool needs_dictionary_ = true, needs_properties_ = true, damaged_ = false;
    std::unique_ptr<Model> model_;
    std::vector<std::uint8_t> padded_;  ///< a chunk that ends too near the end of `in`
};

}  // namespace trapline::image
