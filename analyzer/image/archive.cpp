// SPDX-License-Identifier: Apache-2.0
// Reads a Debian package as two streams, one inside the other: ar -> data.tar.* -> members. The tar is never held
// whole: a stock kernel's is 400 MB.
#include "image/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <optional>

#include "image/decompress.h"
#include "image/libarchive_error.h"

namespace trapline::image {
namespace {

constexpr std::uint64_t kProbeBytes = 1024;

// The outer reader as libarchive's source of bytes for the inner one.
struct MemberSource {
    archive* outer = nullptr;
    Bytes pending;           // the block already read to find the compression
    bool failed = false;     // the outer archive broke; its error is the one to report

    static la_ssize_t read(archive*, void* self, const void** buffer) {
        auto& source = *static_cast<MemberSource*>(self);
        if (!source.pending.empty()) {
            *buffer = source.pending.data();
            const auto size = static_cast<la_ssize_t>(source.pending.size());
            source.pending = {};
            return size;
        }
        std::size_t size = 0;
        la_int64_t offset = 0;
        switch (archive_read_data_block(source.outer, buffer, &size, &offset)) {
            case ARCHIVE_OK: return static_cast<la_ssize_t>(size);
            case ARCHIVE_EOF: return 0;
            default: source.failed = true; return -1;
        }
    }
};

std::optional<int> tar_filter(Content content) {
    switch (content) {
        case Content::gzip: return ARCHIVE_FILTER_GZIP;
        case Content::bzip2: return ARCHIVE_FILTER_BZIP2;
        case Content::xz: return ARCHIVE_FILTER_XZ;
        case Content::lzma: return ARCHIVE_FILTER_LZMA;
        case Content::zstd: return ARCHIVE_FILTER_ZSTD;
        case Content::unknown: return ARCHIVE_FILTER_NONE;  // data.tar as it is; the tar reader judges it
        case Content::lzo:
        case Content::lz4_legacy:
        case Content::lz4_frame:
        case Content::elf:
        case Content::bzimage:
        case Content::ar:
        case Content::pe:
        case Content::empty: return std::nullopt;
    }
    return std::nullopt;
}

bool names_a_module(std::string_view name) {
    for (std::string_view suffix : {".ko", ".ko.xz", ".ko.zst", ".ko.gz"})
        if (name.ends_with(suffix)) return true;
    return false;
}

// What the package's own convention says is code, or the bytes say might be.
bool is_candidate(std::string_view name, Content content) {
    return content == Content::elf || content == Content::bzimage || is_compressed(content) || names_a_module(name) ||
           (content == Content::pe && name.starts_with("boot/"));
}

class DebReader {
public:
    DebReader(const Layer& layer, const OpenOptions& options, const std::function<bool(Layer&&)>& on_member,
              const std::function<void(Error)>& on_member_error)
        : layer_(layer), options_(options), on_member_(on_member), on_member_error_(on_member_error) {}

    Status read() {
        ArchiveReader outer(archive_read_new());
        if (!outer) return fail(ErrorCode::host_limit, "libarchive could not allocate a reader", layer_.name);
        archive* const a = outer.get();
        archive_read_support_format_ar(a);
        archive_read_append_filter(a, ARCHIVE_FILTER_NONE);
        const Bytes bytes = layer_.bytes();
        if (archive_read_open_memory(a, bytes.data(), bytes.size()) != ARCHIVE_OK)
            return tl::unexpected(libarchive_error(a, "damaged ar archive", layer_.name));
        bool is_debian = false;
        for (;;) {
            archive_entry* entry = nullptr;
            const int status = archive_read_next_header(a, &entry);
            if (status == ARCHIVE_EOF) break;
            if (status != ARCHIVE_OK) return tl::unexpected(libarchive_error(a, "damaged ar archive", layer_.name));
            if (Status counted = count_member(); !counted) return counted;
            const char* path = archive_entry_pathname(entry);
            const std::string_view name = path ? path : "";
            if (name == "debian-binary") is_debian = true;
            if (name == "data.tar" || name.starts_with("data.tar.")) {
                if (!is_debian) break;
                return read_data(a, std::string(name));
            }
        }
        if (is_debian) return fail(ErrorCode::malformed, "a Debian package without a data.tar member", layer_.name);
        return fail(ErrorCode::unsupported, "an ar archive that is not a Debian package (no debian-binary member before data.tar)",
                    layer_.name, 0);
    }

private:
    Status count_member() {
        if (++members_ <= options_.max_members) return {};
        return fail(ErrorCode::refused,
                    fmt::format("more than {} members, the limit of one archive (raise it with --max-members)", options_.max_members),
                    layer_.name);
    }

    Status read_data(archive* outer, const std::string& member) {
        const std::string name = layer_.name + "!" + member;
        MemberSource source{outer, {}, false};
        const void* first = nullptr;
        std::size_t first_size = 0;
        la_int64_t offset = 0;
        const int status = archive_read_data_block(outer, &first, &first_size, &offset);
        if (status == ARCHIVE_EOF) return fail(ErrorCode::truncated, "the member is empty, expected a tar archive", name, 0);
        if (status != ARCHIVE_OK) return tl::unexpected(libarchive_error(outer, "damaged ar archive", layer_.name));
        source.pending = Bytes(static_cast<const std::uint8_t*>(first), first_size);
        const Content compression = identify(ByteView(source.pending));
        const auto filter = tar_filter(compression);
        if (!filter)
            return fail(ErrorCode::unsupported,
                        fmt::format("found {} content, expected a tar archive, plain or in gzip, bzip2, xz, lzma or zstd",
                                    to_string(compression)),
                        name, 0);

        ArchiveReader inner(archive_read_new());
        if (!inner) return fail(ErrorCode::host_limit, "libarchive could not allocate a reader", name);
        archive* const a = inner.get();
        archive_read_support_format_tar(a);
        archive_read_append_filter(a, *filter);
        const auto inner_error = [&](std::string_view doing) {
            if (source.failed) return libarchive_error(outer, "damaged ar archive", layer_.name);
            return libarchive_error(a, std::string(doing), name);
        };
        if (archive_read_open(a, &source, nullptr, MemberSource::read, nullptr) != ARCHIVE_OK)
            return tl::unexpected(inner_error("damaged tar stream"));

        wrappers_ = layer_.wrappers;
        wrappers_.emplace_back("deb");
        if (compression != Content::unknown) wrappers_.emplace_back(to_string(compression));
        for (;;) {
            archive_entry* entry = nullptr;
            const int next = archive_read_next_header(a, &entry);
            if (next == ARCHIVE_EOF) return {};
            // ARCHIVE_WARN is about names that have no form in the current locale; the bytes are still there.
            if (next != ARCHIVE_OK && next != ARCHIVE_WARN) return tl::unexpected(inner_error("damaged tar archive"));
            if (Status counted = count_member(); !counted) return counted;
            if (Status within = check_stream_size(a, entry, name); !within) return within;
            bool go_on = true;
            if (Status done = read_member(a, entry, go_on, inner_error); !done) return done;
            if (!go_on) return {};
        }
    }

    // Refuses before a member is read or skipped, because skipping expands it too.
    Status check_stream_size(archive* a, archive_entry* entry, const std::string& name) const {
        const la_int64_t expanded = archive_filter_bytes(a, 0);
        const la_int64_t size = archive_entry_size(entry);
        const auto done = static_cast<std::uint64_t>(std::max<la_int64_t>(expanded, 0));
        const auto next = static_cast<std::uint64_t>(std::max<la_int64_t>(size, 0));
        if (done > options_.max_decompressed || next > options_.max_decompressed - done)
            return tl::unexpected(size_limit_error(options_.max_decompressed, name));
        return {};
    }

    template <class InnerError>
    Status read_member(archive* a, archive_entry* entry, bool& go_on, const InnerError& inner_error) {
        const char* path = archive_entry_pathname(entry);
        if (!path) path = archive_entry_pathname_utf8(entry);
        std::string_view name = path ? path : "";
        while (name.starts_with("./")) name.remove_prefix(2);
        if (const char* why = unsafe_member_name(name); why && !(name.empty() && archive_entry_filetype(entry) == AE_IFDIR)) {
            on_member_error_(Error{ErrorCode::refused, fmt::format("member name refused: {}", why),
                                   fmt::format("{}!{}", layer_.name, name), std::nullopt, {}});
            return {};
        }
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) return {};
        if (name.starts_with(".")) return {};

        std::vector<std::uint8_t> bytes;
        Content content = Content::unknown;
        bool probed = false;
        for (;;) {
            const void* block = nullptr;
            std::size_t size = 0;
            la_int64_t offset = 0;
            const int status = archive_read_data_block(a, &block, &size, &offset);
            if (status == ARCHIVE_EOF) break;
            if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
                return tl::unexpected(inner_error(fmt::format("damaged tar archive in member {}", name)));
            // A sparse member says where its blocks go; the gaps are zeros and count against the limit like the rest.
            const auto begin = static_cast<std::uint64_t>(std::max<la_int64_t>(offset, 0));
            if (size > options_.max_decompressed || begin > options_.max_decompressed - size)
                return tl::unexpected(size_limit_error(options_.max_decompressed, fmt::format("{}!{}", layer_.name, name)));
            if (begin + size > bytes.size()) bytes.resize(begin + size);
            const auto* data = static_cast<const std::uint8_t*>(block);
            std::copy(data, data + size, bytes.begin() + static_cast<std::ptrdiff_t>(begin));
            if (!probed && bytes.size() >= kProbeBytes) {
                probed = true;
                content = identify(ByteView(bytes));
                if (!is_candidate(name, content)) return {};
            }
        }
        if (!probed && !is_candidate(name, identify(ByteView(bytes)))) return {};
        Layer member;
        member.name = fmt::format("{}!{}", layer_.name, name);
        member.storage = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
        member.wrappers = wrappers_;
        member.depth = layer_.depth + 1;
        go_on = on_member_(std::move(member));
        return {};
    }

    const Layer& layer_;
    const OpenOptions& options_;
    const std::function<bool(Layer&&)>& on_member_;
    const std::function<void(Error)>& on_member_error_;
    std::vector<std::string> wrappers_;
    std::uint64_t members_ = 0;
};

}  // namespace

const char* unsafe_member_name(std::string_view name) {
    if (name.empty()) return "it is empty";
    if (name.front() == '/') return "it is an absolute path";
    for (char c : name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return "it holds control characters";
        if (c == '\\') return "it holds a backslash, a separator elsewhere";
    }
    for (std::size_t at = 0; at <= name.size();) {
        const std::size_t slash = std::min(name.find('/', at), name.size());
        if (name.substr(at, slash - at) == "..") return "it holds '..'";
        at = slash + 1;
    }
    return nullptr;
}

Status open_deb(const Layer& layer, const OpenOptions& options, const std::function<bool(Layer&&)>& on_member,
                const std::function<void(Error)>& on_member_error) {
    return DebReader(layer, options, on_member, on_member_error).read();
}

}  // namespace trapline::image
