// SPDX-License-Identifier: Apache-2.0
// The header by which an image asks for Multiboot 2 (Multiboot2 Specification version 2.0, section 3.1).
#pragma once

#include <optional>
#include <string>

#include "executor/boot/multiboot_image.h"

namespace trapline::executor {

/// What a header asks for. Everything else in it has been found to be met, optional, or for other firmware.
struct Multiboot2Header {
    std::size_t offset = 0;                     ///< in the file
    std::optional<HeaderAddresses> addresses;   ///< without them the image is an ELF file
    std::optional<std::uint32_t> entry;         ///< physical
    std::optional<Relocation> relocation;
};

/// Finds and reads the header: nothing where there is none. Fails with `truncated` and `malformed` for a broken one, with `unsupported` for one
/// that demands what is not here: another architecture, a tag or information that is not known, a graphics console, EFI alone to start it.
Result<std::optional<Multiboot2Header>> read_multiboot2_header(Bytes image, const std::string& name);

}  // namespace trapline::executor
