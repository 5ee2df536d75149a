// SPDX-License-Identifier: Apache-2.0
// xz and lzma through liblzma, which alone can be told the filters; legacy LZ4 blocks through liblz4; the others through
// libarchive.
#include "image/compress.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <lz4hc.h>
#include <lzma.h>

#include <algorithm>
#include <array>
#include <memory>

namespace trapline::image {
namespace {

using Buffer = std::vector<std::uint8_t>;

// `xz` without a number, and `lzma -9`.
constexpr std::uint32_t kXzPreset = 6, kLzmaPreset = 9;
// The longest match that the format knows; four bits of the byte before, the most that lc may have beside lp = 0.
constexpr std::uint32_t kLongestMatch = 273, kMostContext = 4;
constexpr std::size_t kXzStreamHeader = 12;
// scripts/xz_wrap.sh asks for at most 128 MiB; the encoder takes eleven times as much memory.
constexpr std::uint32_t kLargestDictionary = 128u << 20;
// lz4 -l: a magic number, then blocks of 8 MiB, each after its compressed size.
constexpr std::uint32_t kLz4Magic = 0x184C2102;
constexpr std::size_t kLz4Block = std::size_t{8} << 20;

tl::unexpected<Error> from_lzma(lzma_ret code, const std::string& name) {
    if (code == LZMA_MEM_ERROR) return fail(ErrorCode::host_limit, "out of memory while compressing with liblzma", name);
    return fail(ErrorCode::unsupported, fmt::format("liblzma cannot compress with these settings (code {})", static_cast<int>(code)), name);
}

lzma_options_lzma lzma_settings(const Packing& packing) {
    lzma_options_lzma settings{};
    lzma_lzma_preset(&settings, packing.how == Content::xz ? kXzPreset : kLzmaPreset);
    settings.dict_size = packing.dictionary;
    if (packing.strength > 0) {
        settings.nice_len = kLongestMatch;
        settings.lc = kMostContext;
    }
    return settings;
}

Result<Buffer> compress_lzma(const Packing& packing, Bytes bytes, const std::string& name) {
    if (packing.dictionary > kLargestDictionary)
        return fail(ErrorCode::refused, fmt::format("a dictionary of {} bytes, expected at most {}", packing.dictionary, kLargestDictionary), name);
    lzma_options_lzma settings = lzma_settings(packing);
    std::array<lzma_filter, 3> filters{};
    std::size_t count = 0;
    if (packing.x86_filter) filters[count++] = {LZMA_FILTER_X86, nullptr};
    filters[count++] = {LZMA_FILTER_LZMA2, &settings};
    filters[count] = {LZMA_VLI_UNKNOWN, nullptr};

    lzma_stream stream = LZMA_STREAM_INIT;
    // The kernel's decoder knows CRC32 and no other check.
    const lzma_ret started =
        packing.how == Content::xz ? lzma_stream_encoder(&stream, filters.data(), LZMA_CHECK_CRC32) : lzma_alone_encoder(&stream, &settings);
    const auto end = [](lzma_stream* s) { lzma_end(s); };
    const std::unique_ptr<lzma_stream, decltype(end)> guard(&stream, end);
    if (started != LZMA_OK) return from_lzma(started, name);
    Buffer out(bytes.size() / 2 + 4096);
    stream.next_in = bytes.data();
    stream.avail_in = bytes.size();
    for (;;) {
        if (stream.total_out == out.size()) out.resize(out.size() * 2);
        stream.next_out = out.data() + stream.total_out;
        stream.avail_out = out.size() - stream.total_out;
        const lzma_ret code = lzma_code(&stream, LZMA_FINISH);
        if (code == LZMA_STREAM_END) break;
        if (code != LZMA_OK) return from_lzma(code, name);
    }
    out.resize(stream.total_out);
    return out;
}

Result<Buffer> compress_lz4(const Packing& packing, Bytes bytes, const std::string& name) {
    Buffer out;
    const auto put32 = [&](std::uint64_t value) {
        for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    };
    put32(kLz4Magic);
    Buffer block(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(kLz4Block))));
    for (std::size_t at = 0; at < bytes.size(); at += kLz4Block) {
        const std::size_t size = std::min(kLz4Block, bytes.size() - at);
        const int packed = LZ4_compress_HC(reinterpret_cast<const char*>(bytes.data() + at), reinterpret_cast<char*>(block.data()), static_cast<int>(size),
                                           static_cast<int>(block.size()), packing.strength > 0 ? LZ4HC_CLEVEL_MAX : LZ4HC_CLEVEL_DEFAULT);
        if (packed <= 0) return fail(ErrorCode::host_limit, "liblz4 could not compress a block", name);
        put32(static_cast<std::uint64_t>(packed));
        out.insert(out.end(), block.begin(), block.begin() + packed);
    }
    return out;
}

struct ArchiveWriterClose {
    void operator()(archive* a) const { archive_write_free(a); }
};

la_ssize_t append_block(archive*, void* target, const void* data, std::size_t size) {
    auto* out = static_cast<Buffer*>(target);
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    out->insert(out->end(), bytes, bytes + size);
    return static_cast<la_ssize_t>(size);
}

struct ArchiveFilter {
    int code;
    const char* module;
    const char* level;
};

Result<Buffer> compress_with_libarchive(ArchiveFilter filter, Bytes bytes, const std::string& name) {
    Buffer out;
    const std::unique_ptr<archive, ArchiveWriterClose> writer(archive_write_new());
    if (!writer) return fail(ErrorCode::host_limit, "libarchive could not allocate a writer", name);
    archive* const a = writer.get();
    const auto failed = [&] {
        const char* text = archive_error_string(a);
        return fail(ErrorCode::unsupported, fmt::format("libarchive cannot write {}: {}", filter.module, text ? text : "no reason given"), name);
    };
    // A filter that libarchive would leave to an external program is reported as a warning: it is not taken.
    if (archive_write_set_format_raw(a) != ARCHIVE_OK || archive_write_add_filter(a, filter.code) != ARCHIVE_OK) return failed();
    if (archive_write_set_filter_option(a, filter.module, "compression-level", filter.level) != ARCHIVE_OK) return failed();
    if (filter.code == ARCHIVE_FILTER_GZIP && archive_write_set_filter_option(a, filter.module, "timestamp", nullptr) != ARCHIVE_OK) return failed();
    archive_write_set_bytes_in_last_block(a, 1);
    if (archive_write_open2(a, &out, nullptr, append_block, nullptr, nullptr) != ARCHIVE_OK) return failed();
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), "payload");
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    if (archive_write_header(a, entry.get()) != ARCHIVE_OK) return failed();
    for (Bytes rest = bytes; !rest.empty();) {
        const la_ssize_t taken = archive_write_data(a, rest.data(), rest.size());
        if (taken <= 0) return failed();
        rest = rest.subspan(static_cast<std::size_t>(taken));
    }
    if (archive_write_close(a) != ARCHIVE_OK) return failed();
    return out;
}

// The dictionary and the filters stand in the header of the first block.
Result<Packing> xz_packing(Bytes stream, const std::string& name) {
    const auto first = ByteView(stream).get<std::uint8_t>(kXzStreamHeader);
    const auto malformed = [&] { return fail(ErrorCode::malformed, "xz: the header of the first block is damaged", name, kXzStreamHeader); };
    if (!first || *first == 0) return malformed();
    std::array<lzma_filter, LZMA_FILTERS_MAX + 1> filters{};
    lzma_block block{};
    block.version = 1;
    block.filters = filters.data();
    block.check = LZMA_CHECK_CRC32;
    block.header_size = lzma_block_header_size_decode(*first);
    if (stream.size() - kXzStreamHeader < block.header_size || lzma_block_header_decode(&block, nullptr, stream.data() + kXzStreamHeader) != LZMA_OK)
        return malformed();
    Packing packing{Content::xz, 0, 0, false};
    bool known = true;
    for (std::size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; ++i) {
        if (filters[i].id == LZMA_FILTER_X86 && filters[i].options == nullptr)
            packing.x86_filter = true;
        else if (filters[i].id == LZMA_FILTER_LZMA2)
            packing.dictionary = static_cast<const lzma_options_lzma*>(filters[i].options)->dict_size;
        else
            known = false;
    }
    lzma_filters_free(filters.data(), nullptr);
    if (!known) return fail(ErrorCode::unsupported, "xz: found a filter that is neither x86 nor LZMA2", name, kXzStreamHeader);
    return packing;
}

}  // namespace

Result<Packing> packing_of(Content how, Bytes stream, const std::string& name) {
    switch (how) {
        case Content::xz: return xz_packing(stream, name);
        case Content::lzma: {
            const auto dictionary = ByteView(stream).get<std::uint32_t>(1);
            if (!dictionary) return fail(ErrorCode::truncated, "lzma: the stream ends in its header", name);
            return Packing{how, 0, *dictionary, false};
        }
        case Content::gzip:
        case Content::bzip2:
        case Content::zstd:
        case Content::lz4_legacy: return Packing{how, 0, 0, false};
        case Content::lzo: return fail(ErrorCode::unsupported, "an LZO payload cannot be made again: no LZO compressor is linked; patch the ELF inside", name);
        case Content::lz4_frame: return fail(ErrorCode::unsupported, "found an LZ4 frame, expected the legacy format that kernels open", name);
        case Content::elf:
        case Content::bzimage:
        case Content::ar:
        case Content::pe:
        case Content::empty:
        case Content::unknown: break;
    }
    return fail(ErrorCode::unsupported, fmt::format("found {}, expected a compressed stream", to_string(how)), name);
}

std::uint8_t strengths(Content how) { return how == Content::xz || how == Content::lzma || how == Content::lz4_legacy ? 2 : 1; }

Result<std::vector<std::uint8_t>> compress(const Packing& packing, Bytes bytes, const std::string& name) {
    switch (packing.how) {
        case Content::xz:
        case Content::lzma: return compress_lzma(packing, bytes, name);
        case Content::lz4_legacy: return compress_lz4(packing, bytes, name);
        case Content::gzip: return compress_with_libarchive({ARCHIVE_FILTER_GZIP, "gzip", "9"}, bytes, name);
        case Content::bzip2: return compress_with_libarchive({ARCHIVE_FILTER_BZIP2, "bzip2", "9"}, bytes, name);
        case Content::zstd: return compress_with_libarchive({ARCHIVE_FILTER_ZSTD, "zstd", "22"}, bytes, name);
        case Content::lzo:
        case Content::lz4_frame:
        case Content::elf:
        case Content::bzimage:
        case Content::ar:
        case Content::pe:
        case Content::empty:
        case Content::unknown: break;
    }
    return fail(ErrorCode::unsupported, fmt::format("{} cannot be written", to_string(packing.how)), name);
}

}  // namespace trapline::image
