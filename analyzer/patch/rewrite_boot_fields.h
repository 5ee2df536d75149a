// SPDX-License-Identifier: Apache-2.0
// The fields of a bzImage that speak of its payload or sum up its bytes.
#pragma once

#include <string>
#include <vector>

#include "image/bzimage.h"
#include "patch/rewrite_undo.h"

namespace trapline::patch {

/// Lengths of the payload: as it stands in the file (with the size behind it, where there is one), and expanded.
struct PayloadLengths {
    std::uint64_t packed = 0, expanded = 0;
};

/// Changes the fields for a payload of new lengths at the old place and drops a signature. `undo` comes to hold what they and
/// the checksums were. `out` begins as a copy of `original`; nothing moves in it. Fails with `unsupported` when the stub does
/// not keep the lengths as mkpiggy of current kernels writes them, or when the header has no init_size to enlarge.
Status update_boot_fields(Buffer& out, Bytes original, const image::BzImage& header, PayloadLengths before, PayloadLengths after, UndoRecord& undo,
                          const std::string& name, std::vector<std::string>& notes);

/// Sets the checksums of the finished file that were right in the original: CRC-32 at the end of the image, CheckSum of the
/// PE header.
void update_checksums(Buffer& out, Bytes original, const image::BzImage& header);

}  // namespace trapline::patch
