// SPDX-License-Identifier: Apache-2.0
// The container that lzop writes: header, blocks, checksums, limits. lzo1x.h expands the blocks inside.
// Only what the kernel's build makes: `lzop -9` with one file, methods 1-3 (all LZO1X), no filter, no multi-volume.
#include <fmt/format.h>
#include <zlib.h>

#include <array>

#include "image/decompress.h"
#include "image/lzo1x.h"

namespace trapline::image {
namespace {

// Flags of the lzop header.
constexpr std::uint32_t kAdler32Data = 0x1, kAdler32Compressed = 0x2, kExtraField = 0x40, kCrc32Data = 0x100,
                        kCrc32Compressed = 0x200, kMultipart = 0x400, kFilter = 0x800, kHeaderCrc32 = 0x1000;
constexpr std::uint32_t kMaxBlock = 64u << 20;  // lzop's own bound on a block
constexpr std::uint64_t kMagicSize = 9;         // the header's checksum leaves the magic out

enum class Sum : std::uint8_t { adler32, crc32 };
enum class SumOf : std::uint8_t { expanded, stored };

struct BlockSum {
    std::uint32_t flag;  // of the header: each block carries this one
    Sum sum;
    SumOf of;
};
// In the order they have in a block's header.
constexpr std::array<BlockSum, 4> kBlockSums = {{{kAdler32Data, Sum::adler32, SumOf::expanded},
                                                 {kCrc32Data, Sum::crc32, SumOf::expanded},
                                                 {kAdler32Compressed, Sum::adler32, SumOf::stored},
                                                 {kCrc32Compressed, Sum::crc32, SumOf::stored}}};

struct BlockHeader {
    std::uint32_t expanded = 0;  // bytes; 0 marks the end of the file
    std::uint32_t stored = 0;    // bytes; as many as expanded when the block is not compressed
    std::array<std::optional<std::uint32_t>, kBlockSums.size()> sums;
    std::uint64_t data = 0;  // where the stored bytes begin
};

std::optional<std::uint32_t> big_endian32(ByteView view, std::uint64_t offset) {
    const auto value = view.get<std::uint32_t>(offset);
    if (!value) return std::nullopt;
    return __builtin_bswap32(*value);
}

std::optional<std::uint16_t> big_endian16(ByteView view, std::uint64_t offset) {
    const auto value = view.get<std::uint16_t>(offset);
    if (!value) return std::nullopt;
    return __builtin_bswap16(*value);
}

// Holds `bytes` against the checksum `said`, which the file has for them. `what` names them, `offset` is theirs.
Status check_sum(Sum sum, Bytes bytes, std::uint32_t said, const char* what, const std::string& name, std::uint64_t offset) {
    const bool crc = sum == Sum::crc32;
    const auto found = static_cast<std::uint32_t>(crc ? crc32_z(0, bytes.data(), bytes.size()) : adler32_z(1, bytes.data(), bytes.size()));
    if (found == said) return {};
    return fail(ErrorCode::malformed,
                fmt::format("{} of {} is {:#010x}, expected {:#010x} as the file says", crc ? "CRC-32" : "Adler-32", what, found, said), name,
                offset);
}

Status check_block_sums(const BlockHeader& block, SumOf of, Bytes bytes, const std::string& name) {
    const char* what = of == SumOf::stored ? "the compressed lzop block" : "the expanded lzop block";
    for (std::size_t i = 0; i < kBlockSums.size(); ++i) {
        if (!block.sums[i] || kBlockSums[i].of != of) continue;
        if (Status checked = check_sum(kBlockSums[i].sum, bytes, *block.sums[i], what, name, block.data); !checked) return checked;
    }
    return {};
}

// Reads the header of an lzop file; returns its flags and moves `at` to the first block.
Result<std::uint32_t> read_lzop_header(ByteView view, std::uint64_t& at, const std::string& name) {
    const auto truncated = [&] { return fail(ErrorCode::truncated, "the file ends inside its lzop header", name, view.size()); };
    const auto version = big_endian16(view, 9);
    const auto needed = big_endian16(view, 13);
    if (!version || !needed) return truncated();
    if (*version < 0x0940)
        return fail(ErrorCode::unsupported, fmt::format("lzop header version {:#x}, expected 0x940 or later", *version), name, 9);
    const auto method = view.get<std::uint8_t>(15);
    const auto flags = big_endian32(view, 17);
    if (!method || !flags) return truncated();
    if (*method < 1 || *method > 3)
        return fail(ErrorCode::unsupported, fmt::format("lzop method {}, expected 1 to 3 (LZO1X)", *method), name, 15);
    if (*flags & (kMultipart | kFilter))
        return fail(ErrorCode::unsupported, fmt::format("lzop flags {:#x}: filters and multi-part files are not read", *flags), name, 17);
    const auto name_length = view.get<std::uint8_t>(33);  // after mode, mtime_low, mtime_high
    if (!name_length) return truncated();
    const Sum sum = (*flags & kHeaderCrc32) ? Sum::crc32 : Sum::adler32;
    at = 34u + *name_length;
    const auto header = view.slice(kMagicSize, at - kMagicSize);
    const auto header_sum = big_endian32(view, at);
    if (!header || !header_sum) return truncated();
    if (Status checked = check_sum(sum, *header, *header_sum, "the lzop header", name, kMagicSize); !checked)
        return tl::unexpected(checked.error());
    at += 4;
    if (*flags & kExtraField) {  // its length, itself, and a checksum over both
        const auto length = big_endian32(view, at);
        if (!length) return truncated();
        const auto extra = view.slice(at, std::uint64_t{4} + *length);
        const auto extra_sum = big_endian32(view, at + 4 + *length);
        if (!extra || !extra_sum) return truncated();
        if (Status checked = check_sum(sum, *extra, *extra_sum, "the lzop header's extra field", name, at); !checked)
            return tl::unexpected(checked.error());
        at += std::uint64_t{8} + *length;
    }
    return *flags;
}

// Reads the header of the block at `at`; of the end marker only its zero.
Result<BlockHeader> read_block_header(ByteView view, std::uint64_t at, std::uint32_t flags, const std::string& name) {
    const auto expanded = big_endian32(view, at);
    if (!expanded) return fail(ErrorCode::truncated, "the lzop file ends without its end marker", name, at);
    BlockHeader block;
    block.expanded = *expanded;
    if (block.expanded == 0) return block;
    const auto truncated = [&] { return fail(ErrorCode::truncated, "the lzop file ends inside a block header", name, at); };
    const auto stored = big_endian32(view, at + 4);
    if (!stored) return truncated();
    block.stored = *stored;
    if (block.expanded > kMaxBlock || block.stored > block.expanded)
        return fail(ErrorCode::malformed,
                    fmt::format("lzop block of {} bytes for {}, expected at most {} and no growth", block.stored, block.expanded, kMaxBlock),
                    name, at);
    block.data = at + 8;
    for (std::size_t i = 0; i < kBlockSums.size(); ++i) {
        if (!(flags & kBlockSums[i].flag)) continue;
        // Checksums of the compressed data stand in the header only when the block is compressed.
        if (kBlockSums[i].of == SumOf::stored && block.stored == block.expanded) continue;
        block.sums[i] = big_endian32(view, block.data);
        if (!block.sums[i]) return truncated();
        block.data += 4;
    }
    return block;
}

}  // namespace

Result<std::vector<std::uint8_t>> decompress_lzop(Bytes bytes, std::uint64_t limit, const std::string& name) {
    const ByteView view(bytes);
    std::uint64_t at = 0;
    const auto flags = read_lzop_header(view, at, name);
    if (!flags) return tl::unexpected(flags.error());

    std::vector<std::uint8_t> out;
    for (;;) {
        const auto block = read_block_header(view, at, *flags, name);
        if (!block) return tl::unexpected(block.error());
        if (block->expanded == 0) return out;
        if (block->expanded > limit || out.size() > limit - block->expanded) return tl::unexpected(size_limit_error(limit, name));
        const auto stored = view.slice(block->data, block->stored);
        if (!stored)
            return fail(ErrorCode::truncated, fmt::format("lzop block of {} bytes passes the end of the file", block->stored), name, at);
        if (Status checked = check_block_sums(*block, SumOf::stored, *stored, name); !checked) return tl::unexpected(checked.error());
        const std::size_t start = out.size();
        if (block->stored == block->expanded) {
            out.insert(out.end(), stored->begin(), stored->end());
        } else if (const char* wrong = expand_lzo1x(*stored, block->expanded, out)) {
            return fail(ErrorCode::malformed, fmt::format("damaged LZO block: {}", wrong), name, block->data);
        }
        if (Status checked = check_block_sums(*block, SumOf::expanded, Bytes(out).subspan(start), name); !checked)
            return tl::unexpected(checked.error());
        at = block->data + block->stored;
    }
}

}  // namespace trapline::image
