// SPDX-License-Identifier: Apache-2.0
// Sources: Documentation/arch/x86/boot.rst; arch/x86/boot/header.S (how init_size comes about), tools/build.c (the CRC),
// compressed/mkpiggy.c of Linux 6.1; the PE format for the rest.
#include "patch/rewrite_boot_fields.h"

#include <fmt/format.h>

#include <array>

namespace trapline::patch {
namespace {

constexpr std::uint64_t kPayloadLength = 0x24C, kInitSize = 0x260;
constexpr std::uint16_t kHasInitSize = 0x20A;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPeSignatureDirectory = 4;

std::uint32_t crc32_register(Bytes bytes, std::uint32_t crc = 0xFFFFFFFF) {
    static const std::array<std::uint32_t, 256> kTable = [] {
        std::array<std::uint32_t, 256> table{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320u : 0u);
            table[i] = value;
        }
        return table;
    }();
    for (const std::uint8_t byte : bytes) crc = kTable[(crc ^ byte) & 0xFF] ^ (crc >> 8);
    return crc;
}

// Places in the PE header that the image carries for UEFI; all 0 without one.
struct PeFields {
    std::uint64_t image_size = 0, checksum = 0, signature = 0, sections = 0, section_count = 0;
};

PeFields find_pe_fields(Bytes file, std::uint64_t setup_size) {
    const ByteView view(file.first(setup_size));
    const std::uint64_t pe = view.get<std::uint32_t>(0x3C).value_or(0);
    if (view.get<std::uint16_t>(0) != 0x5A4D || view.get<std::uint32_t>(pe) != 0x00004550u) return {};
    const std::uint64_t optional = pe + 24;
    const auto magic = view.get<std::uint16_t>(optional);
    if (magic != 0x10B && magic != 0x20B) return {};
    const std::uint64_t directories = optional + (magic == 0x10B ? 96 : 112);
    PeFields fields;
    fields.image_size = optional + 56;
    fields.checksum = optional + 64;
    if (view.get<std::uint32_t>(directories - 4).value_or(0) > kPeSignatureDirectory) fields.signature = directories + 8 * kPeSignatureDirectory;
    fields.sections = optional + view.get<std::uint16_t>(pe + 20).value_or(0);
    fields.section_count = view.get<std::uint16_t>(pe + 6).value_or(0);
    if (!view.slice(fields.sections, 40 * fields.section_count) || !view.slice(fields.signature, 8)) return {};
    return fields;
}

// The sum of the file's words with carries folded, and its length (the PE format's CheckSum); `at` counts as zero.
std::uint32_t pe_checksum(Bytes file, std::uint64_t at) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < file.size(); i += 2) {
        if (i >= at && i < at + 4) continue;
        sum += file[i] | (i + 1 < file.size() ? file[i + 1] << 8 : 0);
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    return static_cast<std::uint32_t>(sum + file.size());
}

// Room that header.S reserves, beyond the image in memory, for a stream that is expanded over itself from the end.
std::int64_t extract_offset(const PayloadLengths& lengths) {
    return static_cast<std::int64_t>(lengths.expanded + (lengths.expanded >> 8)) - static_cast<std::int64_t>(lengths.packed);
}

// tools/build.c makes the register zero behind the last byte. Signing comes later and changes two fields of the PE header.
bool crc_is_valid(Bytes file, const image::BzImage& header) {
    const Bytes image = file.first(header.code_end);
    if (crc32_register(image) == 0) return true;
    const PeFields pe = find_pe_fields(file, header.setup_size);
    if (pe.signature == 0) return false;
    Buffer unsigned_image(image.begin(), image.end());
    poke(unsigned_image, pe.checksum, 0, 4);
    poke(unsigned_image, pe.signature, 0, 8);
    return crc32_register(unsigned_image) == 0;
}

class Fields {
public:
    Fields(Buffer& out, Bytes original, const image::BzImage& header, UndoRecord& undo) : out_(out), original_(original), header_(header), undo_(undo) {}

    void set(std::uint64_t at, std::uint64_t value, std::size_t size) {
        note_edit(undo_, original_, at, size);
        poke(out_, at, value, size);
    }
    std::uint32_t old(std::uint64_t at) const { return ByteView(original_).get<std::uint32_t>(at).value_or(0); }

    // input_len and output_len stand side by side in the stub's read-only data.
    Status set_lengths(PayloadLengths before, PayloadLengths after, const std::string& name) {
        Buffer pair;
        put(pair, before.packed, 4);
        put(pair, before.expanded, 4);
        std::vector<std::uint64_t> places;
        const auto look = [&](std::uint64_t begin, std::uint64_t end) {
            auto at = original_.begin() + static_cast<std::ptrdiff_t>(begin);
            const auto last = original_.begin() + static_cast<std::ptrdiff_t>(end);
            while ((at = std::search(at, last, pair.begin(), pair.end())) != last) places.push_back(static_cast<std::uint64_t>(at++ - original_.begin()));
        };
        look(header_.setup_size, header_.payload_offset);
        look(header_.payload_offset + header_.payload_size, header_.code_end);
        if (places.size() != 1)
            return fail(ErrorCode::unsupported,
                        fmt::format("the boot stub holds the payload's lengths {:#x} and {:#x} side by side in {} places, expected one (older kernels have "
                                    "them in their instructions)",
                                    before.packed, before.expanded, places.size()),
                        name, header_.payload_offset + header_.payload_size);
        set(places.front(), after.packed, 4);
        set(places.front() + 4, after.expanded, 4);
        set(kPayloadLength, after.packed, 4);
        return {};
    }

    // The memory that the kernel asks for covers itself and the stream that is expanded in it. Which of the two was the
    // larger one is not told, so it grows by as much as the second would.
    Status set_init_size(PayloadLengths before, PayloadLengths after, const std::string& name) {
        const std::int64_t growth = extract_offset(after) - extract_offset(before);
        if (growth <= 0) return {};
        if (header_.version < kHasInitSize || header_.header_end < kInitSize + 4)
            return fail(ErrorCode::unsupported, "boot protocol without init_size: the stub's room for expanding is fixed", name, 0x206);
        const std::uint64_t pages = (static_cast<std::uint64_t>(growth) + kPage - 1) / kPage * kPage;
        const std::uint32_t init_size = old(kInitSize);
        set(kInitSize, init_size + pages, 4);
        // Up to 6.5 a UEFI loader gave the kernel its memory as the PE image: as much as init_size.
        const PeFields pe = find_pe_fields(original_, header_.setup_size);
        if (pe.image_size == 0 || old(pe.image_size) < init_size) return {};
        set(pe.image_size, old(pe.image_size) + pages, 4);
        for (std::uint64_t i = 0; i < pe.section_count; ++i) {
            const std::uint64_t size_at = pe.sections + 40 * i + 8;
            if (std::uint64_t{old(size_at)} + old(size_at + 4) >= init_size) set(size_at, old(size_at) + pages, 4);
        }
        return {};
    }

    void drop_signature(std::vector<std::string>& notes) {
        const PeFields pe = find_pe_fields(original_, header_.setup_size);
        if (pe.signature == 0) return;
        const std::uint64_t at = old(pe.signature), size = old(pe.signature + 4);
        if (size == 0 || at < header_.code_end || at > original_.size() || original_.size() - at != size) return;
        undo_.inserted_at = at;
        undo_.dropped_tail.assign(original_.begin() + static_cast<std::ptrdiff_t>(at), original_.end());
        set(pe.signature, 0, 8);
        // As the kernel's build leaves it; whoever signs sets it.
        set(pe.checksum, 0, 4);
        out_.resize(at);
        notes.push_back(fmt::format("the image's signature ({} bytes) does not hold any more and is left out", size));
    }

    void note_checksums() {
        if (header_.code_end >= 4) note_edit(undo_, original_, header_.code_end - 4, 4);
        if (const PeFields pe = find_pe_fields(original_, header_.setup_size); pe.checksum != 0) note_edit(undo_, original_, pe.checksum, 4);
    }

private:
    Buffer& out_;
    Bytes original_;
    const image::BzImage& header_;
    UndoRecord& undo_;
};

}  // namespace

Status update_boot_fields(Buffer& out, Bytes original, const image::BzImage& header, PayloadLengths before, PayloadLengths after, UndoRecord& undo,
                          const std::string& name, std::vector<std::string>& notes) {
    Fields fields(out, original, header, undo);
    if (Status done = fields.set_lengths(before, after, name); !done) return done;
    if (Status done = fields.set_init_size(before, after, name); !done) return done;
    fields.drop_signature(notes);
    fields.note_checksums();
    return {};
}

void update_checksums(Buffer& out, Bytes original, const image::BzImage& header) {
    const PeFields pe = find_pe_fields(original, header.setup_size);
    const auto pe_sum = [&](Bytes file) { return ByteView(file).get<std::uint32_t>(pe.checksum).value_or(0); };
    const bool pe_valid = pe.checksum != 0 && pe_sum(original) == pe_checksum(original, pe.checksum);
    if (header.code_end >= 4 && crc_is_valid(original, header)) poke(out, header.code_end - 4, crc32_register(Bytes(out).first(header.code_end - 4)), 4);
    // A field of 0 says that there is no sum: a signature was dropped with it, or nobody ever set it.
    if (pe_valid && pe_sum(out) != 0) poke(out, pe.checksum, pe_checksum(out, pe.checksum), 4);
}

}  // namespace trapline::patch
