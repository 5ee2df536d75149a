// SPDX-License-Identifier: Apache-2.0
// LZO1X streams in lzop files, written from the description of the bit stream in Linux Documentation/staging/lzo.rst.
// Only what the kernel's build makes: `lzop -9` with one file, methods 1-3 (all LZO1X), no filter, no multi-volume.
#include <fmt/format.h>

#include "image/decompress.h"

namespace trapline::image {
namespace {

// Flags of the lzop header.
constexpr std::uint32_t kAdler32Data = 0x1, kAdler32Compressed = 0x2, kExtraField = 0x40, kCrc32Data = 0x100,
                        kCrc32Compressed = 0x200, kMultipart = 0x400, kFilter = 0x800;
constexpr std::uint32_t kMaxBlock = 64u << 20;  // lzop's own bound on a block

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

// Walks one block. `bad` is set once and stays: reads past the end give 0.
class Lzo1xBlock {
public:
    Lzo1xBlock(Bytes in, std::size_t expected, std::vector<std::uint8_t>& out)
        : in_(in), out_(out), start_(out.size()), limit_(out.size() + expected) {}

    const char* expand() {
        const std::uint8_t first = peek();
        if (first > 17) {  // 18..: first - 17 literals, and the state as after as many
            ++at_;
            const std::size_t count = first - 17u;
            literals(count);
            state_ = count < 4 ? count : 4;
        }
        while (!bad_) {
            const std::uint8_t op = next();
            if (bad_) break;
            if (op < 16 && state_ == 0) {  // a run of literals
                literals(length(op, 15) + 3);
                state_ = 4;
                continue;
            }
            if (op == 17 && at_ + 2 <= in_.size() && in_[at_] == 0 && in_[at_ + 1] == 0) {  // end of stream
                at_ += 2;
                break;
            }
            match(op);
        }
        if (bad_) return bad_;
        if (out_.size() != limit_) return "the block is shorter than its header says";
        if (at_ != in_.size()) return "bytes follow the end marker of the block";
        return nullptr;
    }

private:
    std::uint8_t peek() {
        if (at_ < in_.size()) return in_[at_];
        if (!bad_) bad_ = "the block ends inside an instruction";
        return 0;
    }
    std::uint8_t next() {
        const std::uint8_t byte = peek();
        if (!bad_) ++at_;
        return byte;
    }
    // A length field of `mask` values; zero means: as many 255s as there are zero bytes, and the byte after them.
    std::size_t length(std::uint8_t op, std::uint8_t mask) {
        std::size_t value = op & mask;
        if (value != 0) return value;
        value = mask;
        std::uint8_t byte = next();
        while (byte == 0 && !bad_) {
            value += 255;
            byte = next();
        }
        return value + byte;
    }
    void literals(std::size_t count) {
        if (bad_) return;
        if (count > in_.size() - at_) {
            bad_ = "literals pass the end of the block";
        } else if (count > limit_ - out_.size()) {
            bad_ = "the block is longer than its header says";
        } else {
            out_.insert(out_.end(), in_.begin() + static_cast<std::ptrdiff_t>(at_), in_.begin() + static_cast<std::ptrdiff_t>(at_ + count));
            at_ += count;
        }
    }
    void copy(std::size_t distance, std::size_t count) {
        if (bad_) return;
        if (distance > out_.size() - start_) {
            bad_ = "a match reaches before the block";
        } else if (count > limit_ - out_.size()) {
            bad_ = "the block is longer than its header says";
        } else {
            // One by one: a match may overlap what it produces.
            for (std::size_t i = 0; i < count; ++i) out_.push_back(out_[out_.size() - distance]);
        }
    }
    void match(std::uint8_t op) {
        std::size_t distance = 0;
        std::size_t count = 0;
        std::uint8_t low = op;  // its two low bits say how many literals follow
        if (op >= 64) {
            count = op >= 128 ? 5u + (op >> 5 & 3u) : 3u + (op >> 5 & 1u);
            distance = (std::size_t{next()} << 3) + (op >> 2 & 7u) + 1;
        } else if (op >= 16) {
            const bool near = op >= 32;
            count = length(op, near ? 31 : 7) + 2;
            low = next();
            const std::size_t field = (low | std::size_t{next()} << 8) >> 2;
            distance = near ? field + 1 : 16384u + ((op & 8u) << 11) + field;
        } else if (state_ == 4) {
            count = 3;
            distance = (std::size_t{next()} << 2) + (op >> 2 & 3u) + 2049;
        } else {
            count = 2;
            distance = (std::size_t{next()} << 2) + (op >> 2 & 3u) + 1;
        }
        copy(distance, count);
        state_ = low & 3u;
        literals(state_);
    }

    Bytes in_;
    std::vector<std::uint8_t>& out_;
    std::size_t start_;
    std::size_t limit_;
    std::size_t at_ = 0;
    std::size_t state_ = 0;  // literals copied by the last instruction; 4 stands for four or more
    const char* bad_ = nullptr;
};

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
    at = 34u + *name_length + 4u;  // the name and the header's checksum
    if (*flags & kExtraField) {
        const auto extra = big_endian32(view, at);
        if (!extra) return truncated();
        at += 8u + *extra;
    }
    return *flags;
}

}  // namespace

const char* expand_lzo1x(Bytes block, std::size_t expected, std::vector<std::uint8_t>& out) {
    return Lzo1xBlock(block, expected, out).expand();
}

Result<std::vector<std::uint8_t>> decompress_lzop(Bytes bytes, std::uint64_t limit, const std::string& name) {
    const ByteView view(bytes);
    std::uint64_t at = 0;
    const auto flags = read_lzop_header(view, at, name);
    if (!flags) return tl::unexpected(flags.error());

    std::vector<std::uint8_t> out;
    for (;;) {
        const auto expanded = big_endian32(view, at);
        if (!expanded) return fail(ErrorCode::truncated, "the lzop file ends without its end marker", name, at);
        if (*expanded == 0) return out;
        const auto stored = big_endian32(view, at + 4);
        if (!stored) return fail(ErrorCode::truncated, "the lzop file ends inside a block header", name, at);
        if (*expanded > kMaxBlock || *stored > *expanded)
            return fail(ErrorCode::malformed,
                        fmt::format("lzop block of {} bytes for {}, expected at most {} and no growth", *stored, *expanded, kMaxBlock),
                        name, at);
        if (*expanded > limit || out.size() > limit - *expanded) return tl::unexpected(size_limit_error(limit, name));
        // Checksums of the compressed data stand in the header only when the block is compressed.
        std::uint64_t checksums = ((*flags & kAdler32Data) ? 4 : 0) + ((*flags & kCrc32Data) ? 4 : 0);
        if (*stored < *expanded) checksums += ((*flags & kAdler32Compressed) ? 4 : 0) + ((*flags & kCrc32Compressed) ? 4 : 0);
        const std::uint64_t data = at + 8 + checksums;
        const auto block = view.slice(data, *stored);
        if (!block)
            return fail(ErrorCode::truncated, fmt::format("lzop block of {} bytes passes the end of the file", *stored), name, at);
        if (*stored == *expanded) {
            out.insert(out.end(), block->begin(), block->end());
        } else if (const char* wrong = expand_lzo1x(*block, *expanded, out)) {
            return fail(ErrorCode::malformed, fmt::format("damaged LZO block: {}", wrong), name, data);
        }
        at = data + *stored;
    }
}

}  // namespace trapline::image
