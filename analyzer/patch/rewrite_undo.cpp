// SPDX-License-Identifier: Apache-2.0
// Writing, reading and following the undo record.
#include "patch/rewrite_undo.h"

#include <fmt/format.h>

#include <limits>
#include <string_view>

#include "image/digest.h"

namespace trapline::patch {
namespace {

constexpr std::string_view kMagic = "TRPLUNDO";
constexpr std::uint16_t kMajor = 1, kMinor = 0;
constexpr std::uint64_t kHashBytes = 32, kHeaderBytes = 0x48;

Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

tl::unexpected<Error> cut(const std::string& file, std::uint64_t at) {
    return fail(ErrorCode::truncated, fmt::format("the undo record ends at {:#x}, inside an entry", at), file);
}

}  // namespace

UndoRecord start_undo(Bytes original) {
    UndoRecord record;
    record.original_size = original.size();
    record.original_sha256 = image::sha256_hex(original);
    record.inserted_at = original.size();
    return record;
}

void note_edit(UndoRecord& record, Bytes original, std::uint64_t offset, std::uint64_t size) {
    TRAPLINE_ASSERT(offset <= original.size() && original.size() - offset >= size, "an edit lies inside the original");
    std::uint64_t end = offset + size;
    // Merged with every edit that it touches: the record stays sorted and free of overlaps.
    auto first = std::lower_bound(record.edits.begin(), record.edits.end(), offset,
                                  [](const UndoEdit& edit, std::uint64_t at) { return edit.offset + edit.bytes.size() < at; });
    auto last = first;
    for (; last != record.edits.end() && last->offset <= end; ++last) {
        offset = std::min(offset, last->offset);
        end = std::max(end, last->offset + last->bytes.size());
    }
    UndoEdit merged{offset, Buffer(original.begin() + static_cast<std::ptrdiff_t>(offset), original.begin() + static_cast<std::ptrdiff_t>(end))};
    first = record.edits.erase(first, last);
    record.edits.insert(first, std::move(merged));
}

Buffer encode_undo(const UndoRecord& record) {
    Buffer out;
    put(out, as_bytes(kMagic));
    put(out, kMajor, 2);
    put(out, kMinor, 2);
    put(out, record.edits.size(), 4);
    put(out, record.original_size, 8);
    const auto hash = parse_hex(record.original_sha256);
    TRAPLINE_ASSERT(hash && hash->size() == kHashBytes, "a SHA-256 has 32 bytes");
    put(out, *hash);
    put(out, record.inserted_at, 8);
    put(out, record.inserted_size, 8);
    std::uint64_t end = 0;
    for (const UndoEdit& edit : record.edits) {
        put_leb128(out, edit.offset - end);
        put_leb128(out, edit.bytes.size());
        put(out, edit.bytes);
        end = edit.offset + edit.bytes.size();
    }
    put_leb128(out, record.dropped_tail.size());
    put(out, record.dropped_tail);
    return out;
}

Result<UndoRecord> decode_undo(Bytes bytes, const std::string& file) {
    const ByteView view(bytes);
    const auto magic = view.slice(0, kMagic.size());
    if (!magic || !std::equal(magic->begin(), magic->end(), as_bytes(kMagic).begin()))
        return fail(ErrorCode::malformed, "the undo record does not begin with TRPLUNDO", file);
    if (view.size() < kHeaderBytes) return cut(file, view.size());
    const std::uint16_t major = *view.get<std::uint16_t>(8);
    if (major != kMajor) return fail(ErrorCode::unsupported, fmt::format("undo record of version {}, expected {}", major, kMajor), file);
    UndoRecord record;
    const std::uint32_t count = *view.get<std::uint32_t>(0x0C);
    record.original_size = *view.get<std::uint64_t>(0x10);
    record.original_sha256 = to_hex(*view.slice(0x18, kHashBytes));
    record.inserted_at = *view.get<std::uint64_t>(0x38);
    record.inserted_size = *view.get<std::uint64_t>(0x40);
    std::uint64_t at = kHeaderBytes, end = 0;
    const auto read_run = [&](Buffer& out) {
        const auto length = get_leb128(view, at);
        if (!length) return false;
        const auto run = view.slice(at, *length);
        if (!run) return false;
        out.assign(run->begin(), run->end());
        at += *length;
        return true;
    };
    for (std::uint32_t i = 0; i < count; ++i) {
        UndoEdit edit;
        const auto gap = get_leb128(view, at);
        if (!gap || !read_run(edit.bytes)) return cut(file, view.size());
        if (*gap > std::numeric_limits<std::uint64_t>::max() - end || edit.bytes.size() > std::numeric_limits<std::uint64_t>::max() - end - *gap)
            return fail(ErrorCode::malformed, fmt::format("undo record: edit {} passes the end of the address space", i), file);
        edit.offset = end + *gap;
        end = edit.offset + edit.bytes.size();
        record.edits.push_back(std::move(edit));
    }
    if (!read_run(record.dropped_tail)) return cut(file, view.size());
    return record;
}

Result<Buffer> apply_undo(Bytes patched, const UndoRecord& record, const UndoEdit& replaced, const std::string& file) {
    const ByteView view(patched);
    const auto inserted = view.slice(record.inserted_at, record.inserted_size);
    if (!inserted)
        return fail(ErrorCode::malformed,
                    fmt::format("undo record: what was inserted, [{:#x}, +{:#x}), passes the end of the file at {:#x}", record.inserted_at,
                                record.inserted_size, patched.size()),
                    file);
    if (const std::uint64_t size = patched.size() - record.inserted_size + record.dropped_tail.size(); size != record.original_size)
        return fail(ErrorCode::inconsistent,
                    fmt::format("undoing gives {} bytes, the original had {}: the file was changed after it was patched", size, record.original_size),
                    file);
    Buffer out;
    out.reserve(record.original_size);
    put(out, patched.first(record.inserted_at));
    put(out, patched.subspan(record.inserted_at + record.inserted_size));
    put(out, record.dropped_tail);
    const auto overwrite = [&](const UndoEdit& edit) {
        if (edit.offset > out.size() || out.size() - edit.offset < edit.bytes.size()) return false;
        poke(out, edit.offset, edit.bytes);
        return true;
    };
    for (const UndoEdit& edit : record.edits)
        if (!overwrite(edit))
            return fail(ErrorCode::malformed, fmt::format("undo record: bytes at {:#x} lie outside the original of {} bytes", edit.offset, out.size()), file);
    if (!overwrite(replaced))
        return fail(ErrorCode::malformed, fmt::format("undo record: the stream at {:#x} lies outside the original", replaced.offset), file);
    if (const std::string found = image::sha256_hex(out); found != record.original_sha256)
        return fail(ErrorCode::inconsistent,
                    fmt::format("undoing gives sha256 {}, the original had {}: the file was changed after it was patched", found, record.original_sha256),
                    file);
    return out;
}

}  // namespace trapline::patch
