// SPDX-License-Identifier: Apache-2.0
// The XZ file that kernels' builds make: one stream of one block, LZMA2 behind a filter for x86 code or none, with a CRC32. Its
// index tells the size ahead. The sum is made by a second thread: it costs 5 % of the time of expanding. liblzma reads
// headers, index and footer; every other file, damage above all, is left to libarchive.
#include <algorithm>
#include <array>
#include <future>
#include <lzma.h>
#include <memory>
#include <optional>

#include "image/decompress.h"
#include "image/lzma2.h"
#include "image/x86_branches.h"

namespace trapline::image {
namespace {

// As large as libarchive's own limit, but for dictionaries that --max-size allows.
constexpr std::uint64_t kUsualMemory = std::uint64_t{128} << 20;
constexpr std::uint64_t kIndexMemory = std::uint64_t{1} << 20;
constexpr std::size_t kCheckSize = 4;

/// Where the one block of a file lies and what it expands to.
struct Placed {
    std::uint64_t unpadded_size = 0, uncompressed_size = 0;
};

std::optional<Placed> find_block(Bytes file) {
    if (file.size() < 2 * LZMA_STREAM_HEADER_SIZE) return std::nullopt;
    const std::size_t footer_at = file.size() - LZMA_STREAM_HEADER_SIZE;
    lzma_stream_flags header{}, footer{};
    if (lzma_stream_header_decode(&header, file.data()) != LZMA_OK || lzma_stream_footer_decode(&footer, file.data() + footer_at) != LZMA_OK ||
        lzma_stream_flags_compare(&header, &footer) != LZMA_OK || header.check != LZMA_CHECK_CRC32 || footer.backward_size > footer_at)
        return std::nullopt;
    lzma_index* read = nullptr;
    std::uint64_t memory = kIndexMemory;
    std::size_t at = footer_at - footer.backward_size;
    if (lzma_index_buffer_decode(&read, &memory, nullptr, file.data(), &at, footer_at) != LZMA_OK) return std::nullopt;
    const auto release = [](lzma_index* index) { lzma_index_end(index, nullptr); };
    const std::unique_ptr<lzma_index, decltype(release)> index(read, release);
    if (lzma_index_block_count(read) != 1 || lzma_index_file_size(read) != file.size()) return std::nullopt;
    lzma_index_iter each;
    lzma_index_iter_init(&each, read);
    if (lzma_index_iter_next(&each, LZMA_INDEX_ITER_BLOCK)) return std::nullopt;
    return Placed{each.block.unpadded_size, each.block.uncompressed_size};
}

/// The filters of a block, which liblzma allocates.
class BlockFilters {
public:
    BlockFilters() = default;
    BlockFilters(const BlockFilters&) = delete;
    BlockFilters& operator=(const BlockFilters&) = delete;
    ~BlockFilters() { lzma_filters_free(filters_.data(), nullptr); }

    /// Reads them from the block's header, whose size it gives; 0 when they are others than kernels have.
    std::size_t read(Bytes file, const Placed& placed, std::uint64_t limit) {
        const std::size_t at = LZMA_STREAM_HEADER_SIZE;
        lzma_block block{};
        block.version = 1;
        block.check = LZMA_CHECK_CRC32;
        block.filters = filters_.data();
        block.header_size = lzma_block_header_size_decode(file[at]);
        if (file[at] == 0 || file.size() - at < block.header_size) return 0;
        if (lzma_block_header_decode(&block, nullptr, file.data() + at) != LZMA_OK) return 0;
        if (lzma_block_compressed_size(&block, placed.unpadded_size) != LZMA_OK) return 0;
        if (block.uncompressed_size != LZMA_VLI_UNKNOWN && block.uncompressed_size != placed.uncompressed_size) return 0;
        if (lzma_raw_decoder_memusage(filters_.data()) > std::max(limit, kUsualMemory)) return 0;
        has_branches_ = filters_[0].id == LZMA_FILTER_X86;
        // Its one option, the address of the first byte, is not used by anyone.
        if (has_branches_ && filters_[0].options != nullptr) return 0;
        const lzma_filter& last = filters_[has_branches_ ? 1 : 0];
        if (last.id != LZMA_FILTER_LZMA2) return 0;
        dictionary_ = static_cast<const lzma_options_lzma*>(last.options)->dict_size;
        return block.header_size;
    }
    bool has_branches() const { return has_branches_; }
    std::uint64_t dictionary() const { return dictionary_; }

private:
    std::array<lzma_filter, LZMA_FILTERS_MAX + 1> filters_{{{LZMA_VLI_UNKNOWN, nullptr}}};
    bool has_branches_ = false;
    std::uint64_t dictionary_ = 0;
};

/// Says whether the stream ends where the block does, and what was appended is all of it.
bool expand_stream(Lzma2Decoder& decoder, bool has_branches, std::size_t packed_size, std::size_t size, ExpandingBytes& out) {
    X86Branches branches;
    ExpandingBytes::Settle restore;
    if (has_branches) restore = [&](std::span<std::uint8_t> all) { return branches.restore(all); };
    Lzma2Decoder::State state;
    while ((state = decoder.next()) == Lzma2Decoder::State::more) out.append(decoder.output().subspan(out.size()), restore);
    return state == Lzma2Decoder::State::end && decoder.consumed() == packed_size && out.size() == size;
}

}  // namespace

bool expand_xz_block(Bytes file, std::uint64_t limit, ExpandingBytes& out) {
    const auto placed = find_block(file);
    if (!placed || placed->uncompressed_size == 0 || placed->uncompressed_size > limit) return false;
    BlockFilters filters;
    const std::size_t header_size = filters.read(file, *placed, limit);
    if (header_size == 0) return false;
    const std::size_t at = LZMA_STREAM_HEADER_SIZE + header_size, packed_size = placed->unpadded_size - header_size - kCheckSize;
    const auto decoder = std::make_shared<Lzma2Decoder>(file.subspan(at), filters.dictionary(), placed->uncompressed_size);
    out.keep(decoder);
    out.reserve(placed->uncompressed_size);
    std::future<std::uint32_t> sum = std::async(std::launch::async, [&out] {
        std::uint32_t crc = 0;
        out.follow([&](Bytes all, std::size_t seen) {
            crc = lzma_crc32(all.data() + seen, all.size() - seen, crc);
            return true;
        });
        return crc;
    });
    bool complete = false;
    {
        const Finisher finisher(out);
        complete = expand_stream(*decoder, filters.has_branches(), packed_size, placed->uncompressed_size, out);
    }
    // Up to three zeros fill the block up to whole words; the check follows.
    const ByteView view(file);
    std::size_t check_at = at + packed_size;
    for (; check_at % 4 != 0; ++check_at) complete = complete && view.get<std::uint8_t>(check_at) == 0;
    return sum.get() == view.get<std::uint32_t>(check_at) && complete;
}

}  // namespace trapline::image
