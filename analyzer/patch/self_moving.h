// SPDX-License-Identifier: Apache-2.0
// The boot stub of a bzImage, which runs wherever it is loaded and copies itself, payload and all, before it expands the
// payload. What is written into it has to hold at any address, and its stubs travel with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "image/image.h"
#include "patch/guest_code.h"
#include "support/address.h"

namespace trapline::patch {

/// The room for stubs in the boot stub begins at a multiple of this.
inline constexpr std::uint64_t kBootStubAlignment = 16;

/// Whether code of the image moves itself before or while it runs.
bool moves_itself(const image::Image& image);

/// The room of the payload as addresses of the part; nothing when the image has none. The boot code copies it with itself, and the
/// payload is packed again: stubs take its end, and are whole until the last byte of the payload has been read.
std::optional<AddressRange> payload_room(const image::Image& boot_stub);

/// Says what stands against moving a neighbour into a stub of such an image, beside obstacle_to_moving; empty when nothing does.
std::string obstacle_where_code_moves(const GuestInstruction& insn, bool reached);

}  // namespace trapline::patch
