// SPDX-License-Identifier: Apache-2.0
// What the relocation types of the i386 and x86-64 psABIs say about the field that they fill.
#pragma once

#include <cstdint>
#include <optional>

namespace trapline::image {

/// The field of one relocation type.
struct RelocationField {
    std::uint8_t size = 0;     ///< bytes that the linker or loader writes; 0 for types that write nothing
    bool pc_relative = false;  ///< its value is a distance from the field
};

/// Describes the field of an R_X86_64_* or R_386_* type; nothing for a type that the psABIs do not define.
std::optional<RelocationField> relocation_field(std::uint32_t type, bool x86_64);

}  // namespace trapline::image
