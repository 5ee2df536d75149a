// SPDX-License-Identifier: Apache-2.0
// Raw code, as --raw asks for.
#include "image/raw.h"

#include <fmt/format.h>

#include "image/digest.h"

namespace trapline::image {

Result<Image> open_raw(const Layer& layer, const OpenOptions& options) {
    TRAPLINE_ASSERT(options.raw.has_value(), "open_raw needs the width");
    const std::uint64_t base = options.raw_base.value;
    const std::uint64_t size = layer.bytes().size();
    if (size == 0) return fail(ErrorCode::truncated, "the file is empty, expected code", layer.name, 0);
    // 16-bit code with 32-bit offsets is still below 4 GiB; where a segment begins is not known.
    const std::uint64_t last = *options.raw == CodeWidth::bits64 ? ~std::uint64_t{0} : 0xFFFFFFFFu;
    if (base > last || size - 1 > last - base)
        return fail(ErrorCode::refused, fmt::format("{:#x} bytes at base {:#x} pass the end of the address space at {:#x}", size, base, last),
                    layer.name);
    Image image;
    image.name = layer.name;
    image.format = Format::raw;
    image.architecture = *options.raw == CodeWidth::bits64 ? "x86_64" : "i386";
    image.sha256 = sha256_hex(layer.bytes());
    image.size = size;
    image.wrappers = layer.wrappers;
    image.storage = layer.storage;
    Section section;
    section.name = "raw";
    section.address = options.raw_base;
    section.bytes = layer.bytes();
    section.executable = true;
    section.writable = true;
    section.width = *options.raw;
    section.real_mode = *options.raw == CodeWidth::bits16;
    image.sections.push_back(std::move(section));
    image.index_sections();
    image.pointers.push_back({0, options.raw_base, CodePointer::Origin::entry});
    return image;
}

}  // namespace trapline::image
