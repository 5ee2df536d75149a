// SPDX-License-Identifier: Apache-2.0
// Opens layer after layer until an image is reached: what a layer is, its bytes say.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <iostream>
#include <new>

#include "image/archive.h"
#include "image/bzimage.h"
#include "image/content.h"
#include "image/decompress.h"
#include "image/digest.h"
#include "image/elf.h"
#include "image/raw.h"

namespace trapline::image {
namespace {

// A package with a compressed bzImage has four layers; a file that needs more is made to be a nuisance.
constexpr int kMaxDepth = 8;
// A package may hold thousands of compressed members, each within the limit of a layer; together they may expand to this
// many times that limit. Debian 13's kernel, with its modules in xz, needs less than one.
constexpr std::uint64_t kTotalLayers = 8;

class Opener {
public:
    Opener(const OpenOptions& options, const std::function<bool(Image&&)>& sink, const std::function<void(Error)>& on_member_error)
        : options_(options), sink_(sink), on_member_error_(on_member_error) {}

    Status open(Layer layer) {
        if (layer.depth > kMaxDepth)
            return fail(ErrorCode::refused, fmt::format("more than {} layers of containers around it", kMaxDepth), layer.name);
        const Content content = identify(layer.view());
        if (options_.progress) options_.progress(fmt::format("{} ({})", layer.name, to_string(content)));
        switch (content) {
            case Content::elf: return hand_over(open_elf(layer, options_));
            case Content::bzimage: return open_bzimage(layer);
            case Content::ar: return open_package(layer);
            case Content::gzip:
            case Content::bzip2:
            case Content::xz:
            case Content::lzma:
            case Content::lzo:
            case Content::lz4_legacy:
            case Content::lz4_frame:
            case Content::zstd: return open_compressed(layer, content);
            case Content::pe:
                return fail(ErrorCode::unsupported, "found a PE file, expected ELF, bzImage, a compressed file or a Debian package",
                            layer.name, 0);
            case Content::empty: return fail(ErrorCode::truncated, "the file is empty", layer.name, 0);
            case Content::unknown: break;
        }
        const auto head = layer.view().slice(0, std::min<std::uint64_t>(layer.bytes().size(), 8));
        return fail(ErrorCode::unsupported,
                    fmt::format("found bytes {}, expected ELF, bzImage, a compressed file or a Debian package (raw code needs --raw "
                                "16|32|64)",
                                to_hex(*head)),
                    layer.name, 0);
    }

    Status hand_over(Result<Image> image) {
        if (!image) return tl::unexpected(std::move(image.error()));
        image->name = display_name(image->name);
        if (!sink_(std::move(*image))) stopped_ = true;
        return {};
    }

private:
    // Folders of the file opened are not part of an image's name; those inside a container are.
    static std::string display_name(const std::string& name) {
        const std::size_t outer_end = std::min(name.find('!'), name.size());
        const std::size_t slash = name.rfind('/', outer_end);
        return slash == std::string::npos || slash >= outer_end ? name : name.substr(slash + 1);
    }

    // Refuses when what was expanded so far is beyond the bound for the whole file.
    Status check_total(const std::string& name) const {
        if (expanded_ / kTotalLayers < options_.max_decompressed) return {};
        return fail(ErrorCode::refused,
                    fmt::format("the layers before it have expanded to {} bytes, {} times the limit of one (raise it with --max-size)",
                                expanded_, kTotalLayers),
                    name);
    }

    Result<std::vector<std::uint8_t>> expand(const Layer& layer, Content content) {
        if (Status within = check_total(layer.name); !within) return tl::unexpected(std::move(within.error()));
        auto expanded = decompress(content, layer.bytes(), options_.max_decompressed, layer.name);
        // A stream that was stopped at the limit has cost as much as one that reaches it.
        expanded_ += expanded ? expanded->size() : expanded.error().code == ErrorCode::refused ? options_.max_decompressed : 0;
        return expanded;
    }

    Status open_compressed(const Layer& layer, Content content) {
        auto expanded = expand(layer, content);
        if (!expanded) return tl::unexpected(std::move(expanded.error()));
        return open(inner_layer(layer, std::move(*expanded), to_string(content)));
    }

    Status open_bzimage(const Layer& layer) {
        const auto header = read_bzimage(layer.view(), layer.name);
        if (!header) return tl::unexpected(header.error());
        if (header->has_no_payload()) {
            // A program of its own in the boot protocol's clothes, as memtest86+ is.
            if (Status done = hand_over(open_bzimage_setup(layer, *header)); !done || stopped_) return done;
            return hand_over(open_bzimage_stub(layer, *header, header->kernel_64));
        }
        if (Status within = check_total(layer.name); !within) return within;
        // Nothing takes as long as expanding the payload; setup and stub are opened, and scanned by the sink, beside it.
        std::promise<Result<Layer>> payload_opened;
        std::future<Result<Layer>> expanding = payload_opened.get_future();
        const std::future<void> expander = std::async(std::launch::async, [&] {
            ExpandingBytes bytes;  // goes when the payload has been handed on
            try {
                payload_opened.set_value(open_bzimage_payload(layer, *header, options_, bytes));
            } catch (...) {
                payload_opened.set_exception(std::current_exception());
            }
        });
        // Setup and stub are parts of one file; the layer itself may not change any more.
        Layer hashed = layer;
        if (hashed.sha256.empty()) hashed.sha256 = sha256_hex(hashed.bytes());
        if (Status done = hand_over(open_bzimage_setup(hashed, *header)); !done || stopped_) return done;
        // Without the flag, which protocol 2.12 brought, only the kernel's ELF class says how wide the stub's code is.
        bool kernel_64 = header->kernel_64;
        std::optional<Result<Layer>> expanded;
        if (!kernel_64) {
            expanded = expanding.get();
            if (*expanded && identify((*expanded)->view()) == Content::elf) kernel_64 = (*expanded)->view().get<std::uint8_t>(4) == 2;
        }
        if (Status done = hand_over(open_bzimage_stub(hashed, *header, kernel_64)); !done || stopped_) return done;
        Result<Layer> payload = expanded ? std::move(*expanded) : expanding.get();
        expanded_ += payload ? payload->bytes().size() : payload.error().code == ErrorCode::refused ? options_.max_decompressed : 0;
        if (!payload) {
            on_member_error_(std::move(payload.error()));
            return {};
        }
        if (Status done = open(std::move(*payload)); !done) on_member_error_(std::move(done.error()));
        return {};
    }

    Status open_package(const Layer& layer) {
        const auto on_member = [&](Layer&& member) {
            const bool compressed = is_compressed(identify(member.view()));
            const bool module = member.name.find(".ko", member.name.rfind('/') + 1) != std::string::npos;
            if (compressed && !module) {
                open_if_image(std::move(member));
            } else if (Status done = open(std::move(member)); !done) {
                on_member_error_(std::move(done.error()));
            }
            return !stopped_;
        };
        return open_deb(layer, options_, on_member, on_member_error_);
    }

    // A compressed member is most often a manual page; only one that holds an image is opened.
    void open_if_image(Layer member) {
        const Content content = identify(member.view());
        auto expanded = expand(member, content);
        if (!expanded) {
            on_member_error_(std::move(expanded.error()));
            return;
        }
        const Content inside = identify(ByteView(*expanded));
        if (inside != Content::elf && inside != Content::bzimage) return;
        if (Status done = open(inner_layer(member, std::move(*expanded), to_string(content))); !done)
            on_member_error_(std::move(done.error()));
    }

    const OpenOptions& options_;
    const std::function<bool(Image&&)>& sink_;
    const std::function<void(Error)>& on_member_error_;
    std::uint64_t expanded_ = 0;  // bytes that streams inside this file have expanded to
    bool stopped_ = false;
};

// Reads at most `limit` bytes; one more is asked for to know that there are more. When `expected` is the size, one read
// does it; any value will do.
Result<std::vector<std::uint8_t>> read_stream(std::istream& in, std::uint64_t limit, std::uint64_t expected, const std::string& name) {
    constexpr std::size_t kChunk = 1u << 20;
    std::vector<std::uint8_t> bytes;
    for (std::size_t chunk = std::min(limit, expected) + 1;; chunk = kChunk) {
        const std::size_t had = bytes.size();
        if (had > limit)
            return fail(ErrorCode::refused, fmt::format("larger than {} bytes, the limit of one layer (raise it with --max-size)", limit), name);
        bytes.resize(had + chunk);
        in.read(reinterpret_cast<char*>(bytes.data() + had), static_cast<std::streamsize>(chunk));
        bytes.resize(had + static_cast<std::size_t>(in.gcount()));
        if (in.bad()) return fail(ErrorCode::io, "reading failed", name, bytes.size());
        if (in.eof()) break;
    }
    if (bytes.size() > limit)
        return fail(ErrorCode::refused, fmt::format("larger than {} bytes, the limit of one layer (raise it with --max-size)", limit), name);
    return bytes;
}

Status open_layer(Layer layer, const OpenOptions& options, const std::function<bool(Image&&)>& sink,
                  const std::function<void(Error)>& on_member_error) {
    const std::string name = layer.name;
    // Limits bound what input can make us allocate, but not what this machine has.
    try {
        Opener opener(options, sink, on_member_error);
        if (options.raw) return opener.hand_over(open_raw(layer, options));
        return opener.open(std::move(layer));
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::host_limit, "out of memory while opening (lower --max-size, or give the machine more)", name);
    }
}

}  // namespace

Status open_images(const std::string& path, const OpenOptions& options, const std::function<bool(Image&&)>& sink,
                   const std::function<void(Error)>& on_member_error) {
    Result<std::vector<std::uint8_t>> bytes;
    if (path == "-") {
        bytes = read_stream(std::cin, options.max_decompressed, 0, "-");
    } else {
        // A folder opens like a file and fails at the first read.
        std::error_code code;
        if (std::filesystem::is_directory(path, code)) return fail(ErrorCode::io, "found a folder, expected a file", path);
        std::ifstream in(path, std::ios::binary);
        if (!in)
            return fail(ErrorCode::io, fmt::format("cannot be opened for reading: {}", std::strerror(errno)), path.empty() ? "\"\"" : path);
        const std::uint64_t size = std::filesystem::is_regular_file(path, code) ? std::filesystem::file_size(path, code) : 0;
        bytes = read_stream(in, options.max_decompressed, code ? 0 : size, path);
    }
    if (!bytes) return tl::unexpected(std::move(bytes.error()));
    return open_image_bytes(path, std::move(*bytes), options, sink, on_member_error);
}

Status open_image_bytes(std::string name, std::vector<std::uint8_t> bytes, const OpenOptions& options,
                        const std::function<bool(Image&&)>& sink, const std::function<void(Error)>& on_member_error) {
    Layer layer;
    layer.name = std::move(name);
    layer.storage = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
    return open_layer(std::move(layer), options, sink, on_member_error);
}

}  // namespace trapline::image
