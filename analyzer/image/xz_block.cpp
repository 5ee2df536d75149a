// SPDX-License-Identifier: Apache-2.0
// The XZ file that kernels' builds make: one stream of one block with a CRC32. Its index tells the size ahead, and liblzma
// hands out the block's check, so that the sum is made by a second thread: it costs 5 % of the time of expanding. Everything
// else, damage above all, is left to libarchive.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <future>
#include <lzma.h>
#include <memory>
#include <optional>
#include <span>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "image/decompress.h"

namespace trapline::image {
namespace {

// As large as libarchive's own limit, but for dictionaries that --max-size allows.
constexpr std::uint64_t kUsualMemory = std::uint64_t{128} << 20;
constexpr std::uint64_t kIndexMemory = std::uint64_t{1} << 20;
// Stays in the second-level cache on its way to where the bytes are kept.
constexpr std::size_t kPiece = std::size_t{64} << 10;

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

/// Has the system make pages before they are written: whoever writes to one first waits a microsecond or two for it, which
/// is a twentieth of the time of expanding.
class PageToucher {
public:
    explicit PageToucher(std::span<const std::uint8_t> room) : room_(room) {}

    /// `used` is the number of bytes that were written.
    void touch([[maybe_unused]] std::size_t used) {
#if defined(MADV_POPULATE_WRITE)
        const std::size_t from = std::max(used, touched_), to = std::min(room_.size(), used + kAhead);
        if (from >= to || (to < room_.size() && to - from < kAhead / 4)) return;
        const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<std::uintptr_t>(room_.data());
        // Whole pages of the room, none that it shares. Where the system cannot, the writer's own writes do it.
        const std::uintptr_t first = (begin + from + page - 1) / page * page, last = (begin + to) / page * page;
        if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_POPULATE_WRITE);
        touched_ = to;
#endif
    }

private:
    static constexpr std::size_t kAhead = std::size_t{4} << 20;
    const std::span<const std::uint8_t> room_;
    std::size_t touched_ = 0;
};

/// Memory for liblzma. The largest piece is the dictionary, which is filled in order.
class Memory {
public:
    Memory() { allocator_ = {allocate, release, this}; }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    const lzma_allocator* allocator() const { return &allocator_; }
    std::span<const std::uint8_t> largest() const { return largest_; }

private:
    static void* allocate(void* self, std::size_t count, std::size_t size) {
        const std::size_t bytes = count * size;  // liblzma gives 1 for the count
        auto* const piece = static_cast<std::uint8_t*>(std::malloc(bytes));
        auto& largest = static_cast<Memory*>(self)->largest_;
        if (piece != nullptr && bytes > largest.size()) largest = {piece, bytes};
        return piece;
    }
    static void release(void*, void* piece) { std::free(piece); }

    lzma_allocator allocator_{};
    std::span<const std::uint8_t> largest_;
};

/// A decoder of one block; what liblzma allocated is freed with it.
class BlockDecoder {
public:
    BlockDecoder() = default;
    BlockDecoder(const BlockDecoder&) = delete;
    BlockDecoder& operator=(const BlockDecoder&) = delete;
    ~BlockDecoder() {
        lzma_end(&stream_);
        lzma_filters_free(filters_.data(), nullptr);
    }

    bool open(Bytes file, const Placed& placed, std::uint64_t limit) {
        const std::size_t at = LZMA_STREAM_HEADER_SIZE;
        block_.version = 1;
        block_.check = LZMA_CHECK_CRC32;
        block_.filters = filters_.data();
        block_.header_size = lzma_block_header_size_decode(file[at]);
        if (file[at] == 0 || file.size() - at < block_.header_size) return false;
        if (lzma_block_header_decode(&block_, nullptr, file.data() + at) != LZMA_OK) return false;
        if (lzma_block_compressed_size(&block_, placed.unpadded_size) != LZMA_OK) return false;
        if (block_.uncompressed_size != LZMA_VLI_UNKNOWN && block_.uncompressed_size != placed.uncompressed_size) return false;
        block_.uncompressed_size = placed.uncompressed_size;
        if (lzma_raw_decoder_memusage(filters_.data()) > std::max(limit, kUsualMemory)) return false;
        block_.ignore_check = true;
        stream_.allocator = memory_.allocator();
        if (lzma_block_decoder(&stream_, &block_) != LZMA_OK) return false;
        stream_.next_in = file.data() + at + block_.header_size;
        stream_.avail_in = file.size() - at - block_.header_size;
        return true;
    }

    /// Expands the block; says whether all of it came. The check is still to be compared.
    bool run(ExpandingBytes& out) {
        std::vector<std::uint8_t> piece(kPiece);
        for (lzma_ret status = LZMA_OK; status != LZMA_STREAM_END;) {
            stream_.next_out = piece.data();
            stream_.avail_out = piece.size();
            status = lzma_code(&stream_, LZMA_FINISH);
            if (status != LZMA_OK && status != LZMA_STREAM_END) return false;
            out.append(Bytes(piece).first(piece.size() - stream_.avail_out));
        }
        return out.size() == block_.uncompressed_size;
    }
    /// Where the last bytes are kept that were expanded; known after open().
    std::span<const std::uint8_t> dictionary() const { return memory_.largest(); }
    std::uint32_t check() const { return ByteView(block_.raw_check).get<std::uint32_t>(0).value_or(0); }

private:
    Memory memory_;
    lzma_stream stream_ = LZMA_STREAM_INIT;
    lzma_block block_{};
    std::array<lzma_filter, LZMA_FILTERS_MAX + 1> filters_{{{LZMA_VLI_UNKNOWN, nullptr}}};
};

}  // namespace

bool expand_xz_block(Bytes file, std::uint64_t limit, ExpandingBytes& out) {
    const auto placed = find_block(file);
    if (!placed || placed->uncompressed_size == 0 || placed->uncompressed_size > limit) return false;
    const auto decoder = std::make_shared<BlockDecoder>();
    if (!decoder->open(file, *placed, limit)) return false;
    out.keep(decoder);
    out.reserve(placed->uncompressed_size);
    std::future<std::uint32_t> sum = std::async(std::launch::async, [&out, dictionary = decoder->dictionary()] {
        std::uint32_t crc = 0;
        PageToucher history(dictionary);
        std::optional<PageToucher> contents;
        out.follow([&](Bytes all, std::size_t seen) {
            if (!contents) contents.emplace(std::span(all.data(), out.capacity()));
            contents->touch(all.size());
            history.touch(all.size());
            // The same sum as liblzma's, in a third of the time (zlib 1.2.13 against liblzma 5.4).
            crc = static_cast<std::uint32_t>(crc32_z(crc, all.data() + seen, all.size() - seen));
            return true;
        });
        return crc;
    });
    bool complete = false;
    {
        const Finisher finisher(out);
        complete = decoder->run(out);
    }
    return sum.get() == decoder->check() && complete;
}

}  // namespace trapline::image
