// SPDX-License-Identifier: Apache-2.0
// The Linux/x86 boot protocol's image: real-mode setup code, the stub that decompresses, and the compressed kernel.
#pragma once

#include "image/content.h"
#include "image/image.h"

namespace trapline::image {

/// The fields of the setup header that matter here, as Documentation/arch/x86/boot.rst names them, made absolute.
struct BzImage {
    std::uint16_t version = 0;            ///< boot protocol, 0x20f for 2.15
    std::uint64_t setup_size = 0;         ///< boot sector and setup sectors: where the protected-mode part begins
    std::uint64_t code_end = 0;           ///< end of the protected-mode part
    std::uint64_t header_end = 0;         ///< end of the setup header: the target of the jump at 0x200
    std::uint64_t payload_offset = 0;     ///< in the file; equal to code_end when there is no payload
    std::uint64_t payload_size = 0;
    bool payload_known = false;           ///< the protocol has the field (2.08); with size 0 there is no payload
    bool kernel_64 = false;               ///< XLF_KERNEL_64: a 64-bit entry at 0x200 of the protected-mode part
    std::optional<std::uint64_t> handover_64, handover_32;  ///< EFI handover entries, offsets in the protected-mode part

    /// The header says that the protected-mode part holds nothing compressed.
    bool has_no_payload() const { return payload_known && payload_size == 0; }
};

/// Reads the setup header. Fails with `truncated` or `malformed` when a part lies outside the file.
Result<BzImage> read_bzimage(ByteView view, const std::string& file);

/// Makes the image of the real-mode part. Addresses are offsets in the file: setup.ld links it at 0.
Image open_bzimage_setup(const Layer& layer, const BzImage& header);

/// Makes the image of the protected-mode part without its payload. Addresses are offsets from its start: it is linked
/// at 0 and runs anywhere. `kernel_64` is what the payload's ELF class says, or the header's flag.
Image open_bzimage_stub(const Layer& layer, const BzImage& header, bool kernel_64);

/// Expands the payload by way of `expanding`, which is empty. Gives a layer with the bytes of the ELF and whatever the build
/// appended to it, hashed, and with OpenOptions::decode_ahead looked at.
Result<Layer> open_bzimage_payload(const Layer& layer, const BzImage& header, const OpenOptions& options, ExpandingBytes& expanding);

}  // namespace trapline::image
