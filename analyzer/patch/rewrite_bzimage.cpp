// SPDX-License-Identifier: Apache-2.0
// The payload out, patched, packed and in again; and the tail that undo reads.
#include "patch/rewrite_bzimage.h"

#include <fmt/format.h>

#include <array>
#include <future>
#include <system_error>

#include "image/bzimage.h"
#include "image/compress.h"
#include "image/decompress.h"
#include "patch/rewrite_boot_fields.h"
#include "patch/rewrite_plan.h"

namespace trapline::patch {
namespace {

constexpr std::string_view kTailMagic = "TRPLBOOT", kFooterMagic = "TRPLTAIL";
constexpr std::uint16_t kMajor = 1, kMinor = 0;
constexpr std::uint64_t kTailHeader = 0x1C, kFooterBytes = 16, kSizeTrailer = 4;
constexpr std::uint64_t kMaxExpanded = std::uint64_t{1} << 30;
// The tail is a few hundred kilobytes: a small dictionary is enough.
constexpr std::uint32_t kTailDictionary = 4u << 20;
// Stronger settings take 0.1 % off a kernel in xz (5640104 bytes became 5633280); beyond 1/64 they need not be tried.
constexpr std::uint64_t kMostGained = 64;
// Must match the numbers in rewrite_bzimage.h.
constexpr std::array<image::Content, 6> kCompressions = {image::Content::gzip, image::Content::bzip2,      image::Content::xz,
                                                         image::Content::lzma, image::Content::lz4_legacy, image::Content::zstd};

// scripts/Makefile.lib: gzip ends with the expanded size of itself; after the others the build appends it.
bool has_size_trailer(image::Content how) { return how != image::Content::gzip; }

struct Payload {
    image::Packing packing;
    Bytes packed;  // as it stands in the file, with the size behind it
    Bytes stream;  // without
    Buffer expanded;
};

Result<Payload> unpack(Bytes file, const image::BzImage& header, const std::string& name) {
    if (!header.payload_known || header.payload_size == 0)
        return fail(ErrorCode::unsupported, "the bzImage does not say where its payload is, or has none", name, 0x248);
    Payload payload;
    payload.packed = *ByteView(file).slice(header.payload_offset, header.payload_size);
    payload.stream = payload.packed;
    const image::Content how = image::identify(ByteView(payload.packed));
    if (!image::is_compressed(how))
        return fail(ErrorCode::unsupported,
                    fmt::format("the payload is not compressed (found {}): only the stub of a compressed one is known", image::to_string(how)), name,
                    header.payload_offset);
    if (has_size_trailer(how) && payload.packed.size() > kSizeTrailer) payload.stream = payload.packed.first(payload.packed.size() - kSizeTrailer);
    const auto packing = image::packing_of(how, payload.stream, name);
    if (!packing) return tl::unexpected(packing.error());
    payload.packing = *packing;
    auto expanded = image::decompress(how, payload.stream, kMaxExpanded, name);
    if (!expanded) return tl::unexpected(std::move(expanded.error()));
    payload.expanded = std::move(*expanded);
    return payload;
}

Buffer with_trailer(Buffer stream, image::Content how, std::uint64_t expanded) {
    if (has_size_trailer(how)) put(stream, expanded, kSizeTrailer);
    return stream;
}

// The strength that gives the stream that is there; nothing when none does.
std::optional<image::Packing> find_packing(const Payload& payload, const std::string& name) {
    for (std::uint8_t strength = 0; strength < image::strengths(payload.packing.how); ++strength) {
        image::Packing packing = payload.packing;
        packing.strength = strength;
        const auto stream = image::compress(packing, payload.expanded, name);
        if (stream && std::equal(stream->begin(), stream->end(), payload.stream.begin(), payload.stream.end())) return packing;
    }
    return std::nullopt;
}

// What stands in the file instead of the payload.
struct Packed {
    EditedElf elf;
    Buffer bytes;
};

class Packer {
public:
    Packer(const Payload& payload, const PlanDocument& plan, std::uint64_t room, const std::string& name)
        : payload_(payload), plan_(plan), room_(room), name_(name) {}

    /// `patched` is the payload with its relocation table.
    Result<Packed> run(EditedElf patched, std::vector<std::string>& notes) {
        if (auto fits = try_pack(patched); !fits || !fits->empty()) return finish(std::move(patched), std::move(fits));
        const auto elf = image::read_elf(payload_.expanded, kMaxSections, name_);
        if (!elf) return tl::unexpected(elf.error());
        if (has_relocation_table(payload_.expanded, *elf)) {
            std::vector<std::string> told;  // the first time has told them
            auto smaller = patch_elf(payload_.expanded, plan_, {false, true}, name_, told);
            if (!smaller) return tl::unexpected(std::move(smaller.error()));
            auto fits = try_pack(*smaller);
            if (fits && !fits->empty())
                notes.emplace_back("to make room the kernel's relocation table is left out: it runs at its link address only (boot it with nokaslr)");
            if (!fits || !fits->empty()) return finish(std::move(*smaller), std::move(fits));
        }
        return fail(ErrorCode::refused,
                    fmt::format("the patched payload takes {} bytes at best, the room between the parts of the boot stub is {}; nothing behind it can be moved "
                                "(patch the ELF inside instead)",
                                smallest_, room_),
                    name_);
    }

private:
    // Empty when it does not fit.
    Result<Buffer> try_pack(const EditedElf& elf) {
        for (std::uint8_t strength = 0; strength < image::strengths(payload_.packing.how); ++strength) {
            image::Packing packing = payload_.packing;
            packing.strength = strength;
            auto stream = image::compress(packing, elf.bytes, name_);
            if (!stream) return tl::unexpected(std::move(stream.error()));
            Buffer packed = with_trailer(std::move(*stream), packing.how, elf.bytes.size());
            smallest_ = smallest_ == 0 ? packed.size() : std::min<std::uint64_t>(smallest_, packed.size());
            if (packed.size() <= room_) return packed;
            if (packed.size() - room_ > room_ / kMostGained) break;
        }
        return Buffer();
    }

    Result<Packed> finish(EditedElf elf, Result<Buffer> packed) const {
        if (!packed) return tl::unexpected(std::move(packed.error()));
        const auto stream = Bytes(*packed).first(packed->size() - (has_size_trailer(payload_.packing.how) ? kSizeTrailer : 0));
        const auto again = image::decompress(payload_.packing.how, stream, kMaxExpanded, name_);
        TRAPLINE_ASSERT(again && *again == elf.bytes, "what was compressed expands to itself");
        return Packed{std::move(elf), std::move(*packed)};
    }

    const Payload& payload_;
    const PlanDocument& plan_;
    std::uint64_t room_;
    const std::string& name_;
    std::uint64_t smallest_ = 0;
};

struct Tail {
    std::uint64_t begin = 0;  // in the file
    std::optional<image::Packing> packing;
    std::uint64_t payload_offset = 0;
    Buffer file_record, elf_record, literal;
};

Result<Buffer> encode_tail(const Tail& tail, const std::string& name) {
    Buffer out(kTailMagic.begin(), kTailMagic.end());
    put(out, kMajor, 2);
    put(out, kMinor, 2);
    const image::Packing packing = tail.packing.value_or(image::Packing{});
    const auto how = std::find(kCompressions.begin(), kCompressions.end(), packing.how);
    put(out, how == kCompressions.end() ? 0 : static_cast<std::uint64_t>(how - kCompressions.begin()) + 1, 1);
    put(out, packing.strength, 1);
    put(out, packing.x86_filter ? 1 : 0, 1);
    put(out, 0, 1);
    put(out, packing.dictionary, 4);
    put(out, tail.payload_offset, 8);
    for (const Buffer* run : {&tail.file_record, &tail.elf_record, &tail.literal}) {
        put(out, run->size(), 8);
        put(out, *run);
    }
    auto packed = image::compress({image::Content::xz, 0, kTailDictionary, false}, out, name);
    if (!packed) return packed;
    const std::uint64_t size = packed->size();
    put(*packed, size, 8);
    packed->insert(packed->end(), kFooterMagic.begin(), kFooterMagic.end());
    return packed;
}

Result<Tail> decode_tail(Bytes file, const std::string& name) {
    if (!is_patched_bzimage(file)) return fail(ErrorCode::malformed, "the file does not end with TRPLTAIL: it is not a patched bzImage", name);
    const std::uint64_t size = *ByteView(file).get<std::uint64_t>(file.size() - kFooterBytes);
    if (size > file.size() - kFooterBytes) return fail(ErrorCode::truncated, fmt::format("an undo tail of {} bytes in a file of {}", size, file.size()), name);
    Tail tail;
    tail.begin = file.size() - kFooterBytes - size;
    const auto bytes = image::decompress(image::Content::xz, file.subspan(tail.begin, size), kMaxExpanded, name);
    if (!bytes) return tl::unexpected(Error(bytes.error()).within("the undo tail"));
    const ByteView view(*bytes);
    const auto damaged = [&] { return fail(ErrorCode::malformed, "the undo tail is damaged", name, tail.begin); };
    if (view.size() < kTailHeader ||
        !std::equal(kTailMagic.begin(), kTailMagic.end(), bytes->begin(), [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }))
        return damaged();
    if (const std::uint16_t major = *view.get<std::uint16_t>(8); major != kMajor)
        return fail(ErrorCode::unsupported, fmt::format("undo tail of version {}, expected {}", major, kMajor), name);
    const std::uint8_t how = *view.get<std::uint8_t>(0x0C);
    if (how > kCompressions.size()) return damaged();
    if (how != 0)
        tail.packing =
            image::Packing{kCompressions[how - 1u], *view.get<std::uint8_t>(0x0D), *view.get<std::uint32_t>(0x10), *view.get<std::uint8_t>(0x0E) != 0};
    tail.payload_offset = *view.get<std::uint64_t>(0x14);
    std::uint64_t at = kTailHeader;
    for (Buffer* run : {&tail.file_record, &tail.elf_record, &tail.literal}) {
        const auto length = view.get<std::uint64_t>(at);
        const auto found = length ? view.slice(at + 8, *length) : std::nullopt;
        if (!found) return damaged();
        run->assign(found->begin(), found->end());
        at += 8 + *length;
    }
    return tail;
}

Result<Buffer> undo_payload(Bytes expanded, const Tail& tail, const std::string& name) {
    const auto record = decode_undo(tail.elf_record, name);
    if (!record) return tl::unexpected(record.error());
    return apply_undo(expanded, *record, {}, name);
}

tl::unexpected<Error> other_plan(const std::string& name) {
    return fail(ErrorCode::refused, "the file is already patched with another plan; restore it first (trapline patch --undo)", name);
}

// Whether the patched payload in the file is what the plan makes of the original one.
Result<Rewritten> confirm(Bytes file, const PlanDocument& plan, const std::string& name) {
    const auto tail = decode_tail(file, name);
    if (!tail) return tl::unexpected(tail.error());
    const auto header = image::read_bzimage(ByteView(file), name);
    if (!header) return tl::unexpected(header.error());
    const auto payload = unpack(file, *header, name);
    if (!payload) return tl::unexpected(payload.error());
    const auto original = undo_payload(payload->expanded, *tail, name);
    if (!original) return tl::unexpected(Error(original.error()).within("the file is already patched"));
    for (const PlanPatch& patch : plan.patches)
        for (const PlanWrite& write : patch.writes)
            if (const auto found = ByteView(file).slice(write.file_offset, write.new_bytes.size());
                (patch.part == kSetupPart || patch.part == kStubPart) && (!found || !std::equal(found->begin(), found->end(), write.new_bytes.begin())))
                return other_plan(name);
    for (const PlanStub& stub : plan.stubs)
        if (const auto found = is_boot_stub(plan, stub) ? ByteView(file).slice(header->setup_size + stub.address, stub.bytes.size()) : Bytes(stub.bytes);
            !found || !std::equal(found->begin(), found->end(), stub.bytes.begin(), stub.bytes.end()))
            return other_plan(name);
    for (const bool empty_table : {false, true}) {
        std::vector<std::string> told;
        auto again = patch_elf(*original, plan, {false, empty_table}, name, told);
        if (!again) return tl::unexpected(std::move(again.error()).within("the file is already patched, and what it was made from does not fit"));
        if (again->bytes == payload->expanded) return Rewritten{Buffer(file.begin(), file.end()), {}, true};
    }
    return other_plan(name);
}

Result<Rewritten> make(Bytes file, const PlanDocument& plan, const std::string& name) {
    const auto header = image::read_bzimage(ByteView(file), name);
    if (!header) return tl::unexpected(header.error());
    const auto payload = unpack(file, *header, name);
    if (!payload) return tl::unexpected(payload.error());

    const auto boot_writes = check_boot_writes(plan, file, name);
    if (!boot_writes) return tl::unexpected(boot_writes.error());
    const auto boot_stubs = check_boot_stubs(plan, *header, name);
    if (!boot_stubs) return tl::unexpected(boot_stubs.error());
    Rewritten result;
    auto patched = patch_elf(payload->expanded, plan, {false, false}, name, result.notes);
    if (!patched) return tl::unexpected(std::move(patched.error()));
    auto known = std::async(std::launch::async, [&] { return find_packing(*payload, name); });
    auto packed = Packer(*payload, plan, header->payload_size - boot_stubs->bytes.size(), name).run(std::move(*patched), result.notes);
    if (!packed) return tl::unexpected(std::move(packed.error()));

    UndoRecord record = start_undo(file);
    Buffer& out = result.bytes;
    out.assign(file.begin(), file.end());
    for (const CheckedWrite& checked : *boot_writes) {
        note_edit(record, file, checked.write->file_offset, checked.write->new_bytes.size());
        poke(out, checked.write->file_offset, checked.write->new_bytes);
    }
    const PayloadLengths before{payload->packed.size(), payload->expanded.size()}, after{packed->bytes.size(), packed->elf.bytes.size()};
    if (Status done = update_boot_fields(out, file, *header, before, after, record, name, result.notes); !done) return tl::unexpected(std::move(done.error()));
    for (const CheckedWrite& checked : *boot_writes) {
        const PlanWrite& write = *checked.write;
        if (!std::equal(write.new_bytes.begin(), write.new_bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(write.file_offset)))
            return fail(ErrorCode::refused, fmt::format("plan: the write at {:#x} in {} is over the payload's lengths", write.address, write.section), name,
                        write.file_offset);
    }
    Buffer room = packed->bytes;
    room.resize(header->payload_size - boot_stubs->bytes.size(), 0);
    put(room, boot_stubs->bytes);
    poke(out, header->payload_offset, room);

    Tail tail;
    tail.packing = known.get();
    tail.payload_offset = header->payload_offset;
    if (!tail.packing) tail.literal.assign(payload->packed.begin(), payload->packed.end());
    tail.elf_record = encode_undo(packed->elf.undo);
    // The record says how long the tail is that holds it. Its own size does not change with that number, but what it is
    // compressed to may: the number is "to the end of the file".
    record.inserted_size = 0;
    tail.file_record = encode_undo(record);
    auto bytes = encode_tail(tail, name);
    if (!bytes) return tl::unexpected(std::move(bytes.error()));
    put(out, *bytes);
    update_checksums(out, file, *header);
    return result;
}

}  // namespace

bool is_patched_bzimage(Bytes file) {
    if (file.size() < kFooterBytes) return false;
    const Bytes magic = file.last(kFooterMagic.size());
    return std::equal(magic.begin(), magic.end(), kFooterMagic.begin(), [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
}

Result<Buffer> undo_bzimage_payload(Bytes file, const std::string& name) {
    const auto tail = decode_tail(file, name);
    if (!tail) return tl::unexpected(tail.error());
    const auto header = image::read_bzimage(ByteView(file), name);
    if (!header) return tl::unexpected(header.error());
    const auto patched = unpack(file, *header, name);
    if (!patched) return tl::unexpected(patched.error());
    return undo_payload(patched->expanded, *tail, name);
}

Result<Rewritten> rewrite_bzimage(Bytes file, const PlanDocument& plan, const std::string& name) {
    if (is_patched_bzimage(file)) return confirm(file, plan, name);
    try {
        return make(file, plan, name);
    } catch (const std::system_error& error) {
        return fail(ErrorCode::host_limit, fmt::format("no second thread: {}", error.what()), name);
    }
}

Result<Buffer> undo_bzimage(Bytes file, const std::string& name) {
    const auto tail = decode_tail(file, name);
    if (!tail) return tl::unexpected(tail.error());
    const auto header = image::read_bzimage(ByteView(file), name);
    if (!header) return tl::unexpected(header.error());
    auto record = decode_undo(tail->file_record, name);
    if (!record) return tl::unexpected(record.error());
    UndoEdit payload{tail->payload_offset, tail->literal};
    if (tail->packing) {
        const auto patched = unpack(file, *header, name);
        if (!patched) return tl::unexpected(patched.error());
        const auto original = undo_payload(patched->expanded, *tail, name);
        if (!original) return tl::unexpected(original.error());
        auto stream = image::compress(*tail->packing, *original, name);
        if (!stream) return tl::unexpected(std::move(stream.error()));
        payload.bytes = with_trailer(std::move(*stream), tail->packing->how, original->size());
    }
    // The tail lies at the end: whatever its size.
    record->inserted_at = tail->begin;
    record->inserted_size = file.size() - tail->begin;
    return apply_undo(file, *record, payload, name);
}

}  // namespace trapline::patch
