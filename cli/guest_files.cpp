// SPDX-License-Identifier: Apache-2.0
#include "cli/guest_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "cli/command.h"
#include "cli/input_file.h"
#include "executor/host/core_dump.h"
#include "executor/host/descriptor.h"
#include "executor/host/run_statistics.h"
#include "image/content.h"
#include "image/decompress.h"
#include "image/digest.h"
#include "image/image.h"
#include "patch/embedded_plan.h"
#include "patch/rewrite.h"
#include "patch/rewrite_plan.h"
#include "reports/text_encoding.h"

namespace trapline::cli {

namespace {

constexpr std::uint64_t kLargest = std::uint64_t{1} << 30;
constexpr int kMostLayers = 4;  // of compression around an image

}  // namespace

Result<GuestFiles> read_guest_files(const std::string& image, const std::string& initrd, bool whole) {
    auto bytes = read_input_bytes(image, kLargest);
    if (!bytes) return tl::unexpected(bytes.error());
    GuestFiles files{image, std::move(*bytes), {}, {}, {}, {}};
    for (int layer = 0; layer < kMostLayers; ++layer) {
        const image::Content content = image::identify(ByteView(Bytes(files.image)));
        if (!image::is_compressed(content)) break;
        auto expanded = image::decompress(content, files.image, kLargest, image);
        if (!expanded) return tl::unexpected(expanded.error());
        files.image = std::move(*expanded);
    }
    // A patched kernel runs as it was before: the executor puts a plan's patches in page by page, where memory still holds what the
    // plan expects, and keeps the guest's own bytes for whoever reads them.
    auto kernel = patch::find_original_kernel(files.image, image);
    if (!kernel) return tl::unexpected(kernel.error());
    if (*kernel && !whole) {
        files.image = std::move(**kernel);
        files.part = "payload";
    } else if (*kernel) {
        auto undone = patch::undo_image(files.image, image);
        if (!undone) return tl::unexpected(undone.error());
        files.image = std::move(undone->bytes);
    }
    if (const auto record = patch::find_undo(files.image, image)) {
        // What undo_image gives has this hash, or it fails.
        if (const auto decoded = patch::decode_undo(*record, image)) files.sha256 = decoded->original_sha256;
        if (const auto plan = patch::find_embedded_plan(files.image, image)) files.plan.assign(plan->begin(), plan->end());
        auto undone = patch::undo_image(files.image, image);
        if (!undone) return tl::unexpected(undone.error());
        files.image = std::move(undone->bytes);
    }
    if (initrd.empty()) return files;
    auto disk = read_input_bytes(initrd, kLargest);
    if (!disk) return tl::unexpected(disk.error());
    if (disk->empty()) return fail(ErrorCode::malformed, "found an empty file, expected an initial RAM disk", initrd);
    files.initrd = std::move(*disk);
    return files;
}

std::string sha256_of(const GuestFiles& files) { return files.sha256.empty() ? image::sha256_hex(files.image) : files.sha256; }

std::string ImageParts::part_of(std::uint64_t linear) const {
    for (const auto& [begin, end] : code)
        if (linear >= begin && linear < end) return code_part;
    return std::string(kOtherCode);
}

ImageParts find_parts(const GuestFiles& files, bool at_link_addresses) {
    ImageParts parts;
    parts.sha256 = sha256_of(files);
    const auto take = [&](image::Image&& one) {
        const bool payload = one.name.ends_with("!payload");
        if (!payload && one.name.find('!') != std::string::npos) return true;
        parts.code_part = payload ? "payload" : files.part;
        parts.sha256 = one.sha256;
        for (const image::Section& section : one.sections)
            if (at_link_addresses && section.executable) parts.code.emplace_back(section.address.value, section.address.value + section.bytes.size());
        return true;
    };
    // What cannot be opened has run all the same: its places are then other code.
    static_cast<void>(image::open_image_bytes(files.name, files.image, {}, take, [](const Error&) {}));
    return parts;
}

namespace {

Status write_core(const std::string& path, const executor::CoreFile& core, const executor::SharedPages& ram) {
    std::string temporary = path + ".XXXXXX";
    const executor::Descriptor file(::mkstemp(temporary.data()));
    const auto failure = [&](const char* what) { return fail(ErrorCode::io, fmt::format("{}: {}", what, std::strerror(errno)), path); };
    if (file.get() < 0) return failure("cannot create a file beside it");
    const auto write_at = [&](const std::uint8_t* from, std::size_t size, std::uint64_t offset) {
        while (size != 0) {
            const ssize_t written = ::pwrite(file.get(), from, size, static_cast<off_t>(offset));
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return false;
            from += written;
            offset += static_cast<std::uint64_t>(written);
            size -= static_cast<std::size_t>(written);
        }
        return true;
    };
    const auto is_zero = [&](std::uint64_t at, std::uint64_t size) { return ram.data()[at] == 0 && std::memcmp(ram.data() + at, ram.data() + at + 1, size - 1) == 0; };
    constexpr std::uint64_t kBlock = 64 << 10;
    bool good = write_at(core.head.data(), core.head.size(), 0);
    for (std::uint64_t at = 0; good && at < ram.size(); at += kBlock) {
        const std::uint64_t size = std::min(kBlock, ram.size() - at);
        if (!is_zero(at, size)) good = write_at(ram.data() + at, size, core.head.size() + at);
    }
    const mode_t mask = ::umask(0);
    ::umask(mask);
    Status status;
    if (!good || ::ftruncate(file.get(), static_cast<off_t>(core.head.size() + ram.size())) != 0 || ::fchmod(file.get(), 0666 & ~mask) != 0) status = failure("cannot write");
    if (status && ::rename(temporary.c_str(), path.c_str()) != 0) status = failure("cannot rename the finished file");
    if (!status) ::unlink(temporary.c_str());
    return status;
}

}  // namespace

Status write_crash_dump(const std::string& path, const std::string& what, const executor::RegisterDump& registers, const executor::LastHappenings& last,
                        const executor::SharedPages& ram) {
    std::string text = executor::describe_end(what, registers, last);
    const executor::CoreFile core = executor::make_core(registers, ram, text);
    if (!core.complete) text += fmt::format("\nThe core file has the first {} pieces of linear memory only: the page tables map more.\n", core.segments);
    if (Status status = write_core(path, core, ram); !status) return status;
    return write_output(path + ".txt", text);
}

std::string printable_lines(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        out += reports::printable(std::string_view(text).substr(at, end - at)) + "\n";
        at = end + 1;
    }
    return out;
}

}  // namespace trapline::cli
