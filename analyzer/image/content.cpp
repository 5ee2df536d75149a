// SPDX-License-Identifier: Apache-2.0
// Recognises file formats by their magic numbers.
#include "image/content.h"

#include <algorithm>
#include <bit>

namespace trapline::image {
namespace {

bool starts_with(ByteView view, std::string_view magic) {
    const auto head = view.slice(0, magic.size());
    return head && std::equal(head->begin(), head->end(), magic.begin(),
                              [](std::uint8_t byte, char expected) { return byte == static_cast<std::uint8_t>(expected); });
}

// Documentation/arch/x86/boot.rst: boot_flag at 0x1FE, "HdrS" at 0x202 since protocol 2.00.
bool is_bzimage(ByteView view) {
    return view.get<std::uint16_t>(0x1FE) == 0xAA55 && view.get<std::uint32_t>(0x202) == 0x53726448u;
}

// The .lzma format has no magic. The kernel's makefiles produce lc=3 lp=0 pb=2 (byte 5D), a dictionary of 2^n or
// 2^n + 2^(n-1) bytes, and a length that is unknown (all ones) or sane; liblzma's own test for .lzma is the same.
bool is_lzma(ByteView view) {
    const auto dictionary = view.get<std::uint32_t>(1);
    const auto length = view.get<std::uint64_t>(5);
    if (view.get<std::uint8_t>(0) != 0x5D || !dictionary || !length) return false;
    if (*length != ~std::uint64_t{0} && *length >= std::uint64_t{1} << 38) return false;
    if (*dictionary < 4096) return false;
    return std::has_single_bit(*dictionary) || (*dictionary % 3 == 0 && std::has_single_bit(*dictionary / 3));
}

}  // namespace

std::string_view to_string(Content content) {
    switch (content) {
        case Content::elf: return "elf";
        case Content::bzimage: return "bzimage";
        case Content::gzip: return "gzip";
        case Content::bzip2: return "bzip2";
        case Content::xz: return "xz";
        case Content::lzma: return "lzma";
        case Content::lzo: return "lzo";
        case Content::lz4_legacy: return "lz4";
        case Content::lz4_frame: return "lz4";
        case Content::zstd: return "zstd";
        case Content::ar: return "ar";
        case Content::pe: return "pe";
        case Content::empty: return "empty";
        case Content::unknown: return "unknown";
    }
    return "?";
}

Content identify(ByteView view) {
    using namespace std::string_view_literals;
    if (view.size() == 0) return Content::empty;
    if (starts_with(view, "\x7f" "ELF"sv)) return Content::elf;
    // Before PE: a bzImage with the EFI stub is both.
    if (is_bzimage(view)) return Content::bzimage;
    if (starts_with(view, "\x1f\x8b\x08"sv)) return Content::gzip;
    if (starts_with(view, "BZh"sv) && view.get<std::uint8_t>(4) == 0x31 && view.get<std::uint8_t>(5) == 0x41) return Content::bzip2;
    if (starts_with(view, "\xfd" "7zXZ\0"sv)) return Content::xz;
    if (starts_with(view, "\x89LZO\0\r\n\x1a\n"sv)) return Content::lzo;
    if (starts_with(view, "\x02\x21\x4c\x18"sv)) return Content::lz4_legacy;
    if (starts_with(view, "\x04\x22\x4d\x18"sv)) return Content::lz4_frame;
    if (starts_with(view, "\x28\xb5\x2f\xfd"sv)) return Content::zstd;
    if (starts_with(view, "!<arch>\n"sv)) return Content::ar;
    if (starts_with(view, "MZ"sv)) return Content::pe;
    if (is_lzma(view)) return Content::lzma;
    return Content::unknown;
}

bool is_compressed(Content content) {
    switch (content) {
        case Content::gzip:
        case Content::bzip2:
        case Content::xz:
        case Content::lzma:
        case Content::lzo:
        case Content::lz4_legacy:
        case Content::lz4_frame:
        case Content::zstd: return true;
        case Content::elf:
        case Content::bzimage:
        case Content::ar:
        case Content::pe:
        case Content::empty:
        case Content::unknown: return false;
    }
    return false;
}

Layer inner_layer(const Layer& outer, std::vector<std::uint8_t> bytes, std::string_view wrapper, std::string_view member) {
    Layer inner;
    inner.name = outer.name;
    if (!member.empty()) inner.name.append("!").append(member);
    inner.storage = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
    inner.wrappers = outer.wrappers;
    inner.wrappers.emplace_back(wrapper);
    inner.depth = outer.depth + 1;
    return inner;
}

}  // namespace trapline::image
