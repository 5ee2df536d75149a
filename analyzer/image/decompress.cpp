// SPDX-License-Identifier: Apache-2.0
// Compressed streams through libarchive's filters, one filter exactly: a stream inside a stream is a layer of its own
// and is counted as such.
#include "image/decompress.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <memory>

#include "image/libarchive_error.h"

namespace trapline::image {
namespace {

// lzma -9 uses 64 MiB; a dictionary that is larger than what it may expand to is of no use.
constexpr std::uint64_t kUsualDictionary = std::uint64_t{128} << 20;
// Kernel payloads end where the linker script says, not where the stream does; 64 KiB blocks are libarchive's default.
constexpr std::uint64_t kFirstReserve = 1u << 20;
/// Kernels expand to eight times their size. Address space that nobody writes to costs nothing; a buffer that grows by
/// doubling is copied, and every copy faults all its pages in again.
constexpr std::uint64_t kUsualRatio = 10;

int filter_code(Content how) {
    switch (how) {
        case Content::gzip: return ARCHIVE_FILTER_GZIP;
        case Content::bzip2: return ARCHIVE_FILTER_BZIP2;
        case Content::xz: return ARCHIVE_FILTER_XZ;
        case Content::lzma: return ARCHIVE_FILTER_LZMA;
        case Content::lz4_legacy:
        case Content::lz4_frame: return ARCHIVE_FILTER_LZ4;
        case Content::zstd: return ARCHIVE_FILTER_ZSTD;
        case Content::lzo:
        case Content::elf:
        case Content::bzimage:
        case Content::ar:
        case Content::pe:
        case Content::empty:
        case Content::unknown: return -1;
    }
    return -1;
}

/// Removes one layer with libarchive's filter.
Status expand_filter(Content how, Bytes bytes, std::uint64_t limit, const std::string& name, ExpandingBytes& out) {
    if (how == Content::lzma) {
        // liblzma allocates the dictionary that the header announces before it reads any data.
        const auto dictionary = ByteView(bytes).get<std::uint32_t>(1);
        const std::uint64_t largest = std::max(limit, kUsualDictionary);
        if (dictionary && *dictionary > largest)
            return fail(ErrorCode::refused,
                        fmt::format("announces an LZMA dictionary of {} bytes, expected at most {} (raise it with --max-size)", *dictionary, largest), name, 1);
    }
    const int filter = filter_code(how);
    TRAPLINE_ASSERT(filter >= 0, "decompress is for compressed content only");

    ArchiveReader reader(archive_read_new());
    if (!reader) return fail(ErrorCode::host_limit, "libarchive could not allocate a reader", name);
    archive* const a = reader.get();
    // append_filter switches guessing off: no filter may run that we did not name, above all no external program.
    // set_format, not support_format: when the first block is damaged, guessing would hide it behind "unrecognized format".
    archive_read_set_format(a, ARCHIVE_FORMAT_RAW);
    if (archive_read_append_filter(a, filter) != ARCHIVE_OK)
        return fail(ErrorCode::unsupported, fmt::format("this libarchive cannot expand {} in process", to_string(how)), name);
    if (archive_read_open_memory(a, bytes.data(), bytes.size()) != ARCHIVE_OK)
        return tl::unexpected(libarchive_error(a, fmt::format("damaged {} stream", to_string(how)), name));
    archive_entry* entry = nullptr;
    const int opened = archive_read_next_header(a, &entry);
    if (opened != ARCHIVE_OK)
        return tl::unexpected(libarchive_error(a, fmt::format("damaged {} stream", to_string(how)), name));

    out.reserve(std::min(limit, kFirstReserve + kUsualRatio * bytes.size()));
    for (;;) {
        const void* block = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        const int status = archive_read_data_block(a, &block, &size, &offset);
        if (status == ARCHIVE_EOF) {
            // The filters take a file that ends inside the stream's header for the end of everything.
            if (out.size() == 0)
                return fail(ErrorCode::truncated, fmt::format("the {} stream is cut in its header or expands to nothing", to_string(how)), name, 0);
            return {};
        }
        if (status != ARCHIVE_OK) {
            Error error = libarchive_error(
                a, fmt::format("damaged {} stream after {} expanded bytes", to_string(how), out.size()), name);
            return tl::unexpected(std::move(error));
        }
        if (size > limit || out.size() > limit - size) return tl::unexpected(size_limit_error(limit, name));
        out.append({static_cast<const std::uint8_t*>(block), size});
    }
}

}  // namespace

Error size_limit_error(std::uint64_t limit, const std::string& name) {
    return Error{ErrorCode::refused,
                 fmt::format("expands to more than {} bytes, the limit of one layer (raise it with --max-size)", limit), name,
                 std::nullopt, {}};
}

Result<std::vector<std::uint8_t>> decompress(Content how, Bytes bytes, std::uint64_t limit, const std::string& name) {
    ExpandingBytes out;
    if (Status done = expand(how, bytes, limit, name, out); !done) return tl::unexpected(std::move(done.error()));
    return out.take();
}

Status expand(Content how, Bytes bytes, std::uint64_t limit, const std::string& name, ExpandingBytes& out) {
    const Finisher finisher(out);
    if (how == Content::lzo) {
        const auto all = decompress_lzop(bytes, limit, name);
        if (!all) return tl::unexpected(all.error());
        out.append(*all);
        return {};
    }
    if (how != Content::xz) return expand_filter(how, bytes, limit, name, out);
    if (expand_xz_block(bytes, limit, out)) return {};
    if (out.size() == 0) return expand_filter(how, bytes, limit, name, out);
    // Damaged: libarchive says how.
    ExpandingBytes again;
    if (Status damage = expand_filter(how, bytes, limit, name, again); !damage) return damage;
    return fail(ErrorCode::inconsistent, fmt::format("damaged xz stream after {} expanded bytes", out.size()), name);
}

}  // namespace trapline::image
