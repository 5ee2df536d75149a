// SPDX-License-Identifier: Apache-2.0
// Search and tags of the Multiboot 2 header.
#include "executor/boot/multiboot2_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace trapline::executor {
namespace {

constexpr std::uint32_t kMagic = 0xE85250D6, kI386 = 0;
constexpr std::size_t kSearched = 32768, kAlign = 8, kFixedBytes = 16, kTagHead = 8;
constexpr std::uint32_t kLastInformation = 21;  // types of information that the specification knows are 1 to 21
constexpr std::uint32_t kConsoleRequired = 1, kTextConsole = 2;

/// One tag of the header.
struct Tag {
    std::uint16_t type = 0;
    bool optional = false;
    std::size_t offset = 0;  ///< in the file
    Bytes fields;            ///< behind type, flags and size
    std::uint32_t field(std::size_t index) const { return get32(fields, 4 * index); }
};

class HeaderReader {
public:
    HeaderReader(Bytes image, std::size_t at, const std::string& name) : image_(image), name_(name) { header_.offset = at; }
    Result<std::optional<Multiboot2Header>> read();

private:
    using Take = Status (HeaderReader::*)(const Tag&);
    /// What is done with a tag, and the bytes that it has at least.
    struct Kind {
        std::uint16_t type;
        std::size_t least;
        const char* what;
        Take take;
    };
    static const Kind kKinds[];

    tl::unexpected<Error> wrong(ErrorCode code, std::string message, std::size_t at) const { return fail(code, std::move(message), name_, at); }
    Status take(const Tag& tag);
    Status take_request(const Tag& tag);
    Status take_addresses(const Tag& tag);
    Status take_entry(const Tag& tag);
    Status take_console(const Tag& tag);
    Status take_efi(const Tag& tag);
    Status take_relocation(const Tag& tag);
    /// What is met anyway (modules lie on pages of their own), or a wish that need not be granted (the graphics mode, 3.1.10).
    Status take_wish(const Tag&) { return {}; }

    Bytes image_;
    const std::string& name_;
    Multiboot2Header header_;
    bool efi_ = false;
};

const HeaderReader::Kind HeaderReader::kKinds[] = {
    {1, 0, "information request", &HeaderReader::take_request},
    {2, 16, "address", &HeaderReader::take_addresses},
    {3, 4, "entry address", &HeaderReader::take_entry},
    {4, 4, "console flags", &HeaderReader::take_console},
    {5, 12, "framebuffer", &HeaderReader::take_wish},
    {6, 0, "module alignment", &HeaderReader::take_wish},
    {7, 0, "EFI boot services", &HeaderReader::take_efi},
    {8, 4, "EFI i386 entry address", &HeaderReader::take_efi},
    {9, 4, "EFI amd64 entry address", &HeaderReader::take_efi},
    {10, 16, "relocatable image", &HeaderReader::take_relocation},
};

Result<std::optional<Multiboot2Header>> HeaderReader::read() {
    const std::size_t begin = header_.offset;
    const std::uint32_t architecture = get32(image_, begin + 4), length = get32(image_, begin + 8);
    if (architecture != kI386) return wrong(ErrorCode::unsupported, fmt::format("found a Multiboot2 header of architecture {}, expected 0 (i386, protected mode)", architecture), begin + 4);
    if (length < kFixedBytes || length > image_.size() - begin)
        return wrong(ErrorCode::truncated, fmt::format("found a Multiboot2 header of {} bytes, expected at least {} and no more than the {} that the file has from there", length, kFixedBytes,
                                                       image_.size() - begin), begin + 8);
    const std::size_t end = begin + length;
    for (std::size_t at = begin + kFixedBytes;;) {
        if (at > end || end - at < kTagHead) return wrong(ErrorCode::truncated, "found the end of the Multiboot2 header, expected its end tag before", std::min(at, end));
        const std::uint32_t head = get32(image_, at), size = get32(image_, at + 4);
        const Tag tag{.type = static_cast<std::uint16_t>(head), .optional = (head >> 16 & 1) != 0, .offset = at, .fields = {}};
        if (size < kTagHead || size > end - at)
            return wrong(ErrorCode::truncated, fmt::format("found a tag of type {} with a size of {}, expected at least {} and at most the {} that the Multiboot2 header has left", tag.type, size, kTagHead, end - at), at);
        if (tag.type == 0) break;
        Tag whole = tag;
        whole.fields = image_.subspan(at + kTagHead, size - kTagHead);
        if (Status taken = take(whole); !taken) return tl::unexpected(taken.error());
        at += (std::size_t{size} + kAlign - 1) / kAlign * kAlign;
    }
    if (header_.addresses && !header_.entry)
        return wrong(efi_ ? ErrorCode::unsupported : ErrorCode::malformed,
                     efi_ ? "found a Multiboot2 header with an entry for EFI firmware alone, expected an entry address tag; this machine has no EFI"
                          : "found a Multiboot2 header with an address tag and no entry address tag, expected both or none", begin);
    return std::optional(header_);
}

Status HeaderReader::take(const Tag& tag) {
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& one) { return one.type == tag.type; });
    if (kind == std::end(kKinds)) {
        if (tag.optional) return {};
        return wrong(ErrorCode::unsupported, fmt::format("the Multiboot2 header demands a tag of type {} (it is not marked optional), and none above {} is known", tag.type, std::prev(kind)->type), tag.offset);
    }
    if (tag.fields.size() < kind->least)
        return wrong(ErrorCode::truncated, fmt::format("found a {} tag of {} bytes, expected at least {}", kind->what, tag.fields.size() + kTagHead, kind->least + kTagHead), tag.offset);
    return (this->*kind->take)(tag);
}

Status HeaderReader::take_request(const Tag& tag) {
    // A type that is known is given where there is something to give, and left out where not (3.1.5).
    for (std::size_t i = 0; 4 * i + 4 <= tag.fields.size() && !tag.optional; ++i)
        if (tag.field(i) == 0 || tag.field(i) > kLastInformation)
            return wrong(ErrorCode::unsupported, fmt::format("the Multiboot2 header demands information of type {}, and only 1 to {} are known", tag.field(i), kLastInformation), tag.offset);
    return {};
}

Status HeaderReader::take_addresses(const Tag& tag) {
    constexpr std::uint32_t kWholeFile = 0xFFFFFFFF;
    header_.addresses = HeaderAddresses{.header = tag.field(0), .load = tag.field(1), .load_end = tag.field(2), .bss_end = tag.field(3), .whole_file = tag.field(1) == kWholeFile};
    return {};
}

Status HeaderReader::take_entry(const Tag& tag) {
    header_.entry = tag.field(0);
    return {};
}

Status HeaderReader::take_console(const Tag& tag) {
    const std::uint32_t flags = tag.field(0);
    if ((flags & kConsoleRequired) != 0 && (flags & kTextConsole) == 0 && !tag.optional)
        return wrong(ErrorCode::unsupported, "the Multiboot2 header demands a console and takes no EGA text, which is the only one here", tag.offset);
    return {};
}

Status HeaderReader::take_efi(const Tag&) {
    // Taken into account on EFI platforms only (3.1.8, 3.1.9, 3.1.11): an image that has another entry, too, starts by that.
    efi_ = true;
    return {};
}

Status HeaderReader::take_relocation(const Tag& tag) {
    constexpr std::uint32_t kHighest = 2;
    const Relocation relocation{.least = tag.field(0), .most = tag.field(1), .align = std::max<std::uint64_t>(tag.field(2), 1), .highest = tag.field(3) == kHighest};
    if (relocation.least > relocation.most)
        return wrong(ErrorCode::malformed, fmt::format("found an image to be loaded between {:#x} and {:#x}, expected the lower address first", relocation.least, relocation.most), tag.offset);
    header_.relocation = relocation;
    return {};
}

}  // namespace

Result<std::optional<Multiboot2Header>> read_multiboot2_header(Bytes image, const std::string& name) {
    for (std::size_t at = 0; at + kFixedBytes <= std::min(image.size(), kSearched); at += kAlign)
        if (get32(image, at) == kMagic && get32(image, at) + get32(image, at + 4) + get32(image, at + 8) + get32(image, at + 12) == 0) return HeaderReader(image, at, name).read();
    return std::nullopt;
}

}  // namespace trapline::executor
