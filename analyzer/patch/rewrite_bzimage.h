// SPDX-License-Identifier: Apache-2.0
// A plan carried out on the payload of a bzImage.
//
// Nothing behind the payload may move: the boot code is linked across it and the file has no relocations. So the new
// stream must fit where the old one was. What makes it longer is the plan; what makes it shorter, tried in this order:
// the build's own settings, stronger settings, an empty relocation table (the rewritten kernel runs at its link address
// only, since its jumps to the stubs hold only there). The end of the room is for the stubs of the boot code itself.
//
// Behind the image proper, where signatures stand, goes what undo needs: an xz stream, its size (u64), "TRPLTAIL". In it:
//   0x00 "TRPLBOOT"  0x08 u16 major 1  0x0A u16 minor 0
//   0x0C u8 compression (1 gzip, 2 bzip2, 3 xz, 4 lzma, 5 lz4, 6 zstd), u8 strength, u8 x86 filter, u8 0   0x10 u32 dictionary
//   0x14 u64 offset of the payload in the file   then three runs, each after its length (u64): the undo record of the file
//   without its payload; the undo record of the payload's ELF; the original payload as it was, when compressing again does not
//   give the same bytes (else empty).
#pragma once

#include <string>

#include "patch/rewrite.h"
#include "patch/rewrite_writer.h"

namespace trapline::patch {

/// As rewrite_image, for a bzImage. The time goes into compressing: 10 s for 16 MB of xz, twice when it does not fit at once.
Result<Rewritten> rewrite_bzimage(Bytes file, const PlanDocument& plan, const std::string& name);

/// Says whether a file ends as rewrite_bzimage ends one.
bool is_patched_bzimage(Bytes file);

/// Gives the payload of a patched bzImage as it was before, expanded. Fails as undo_bzimage does.
Result<Buffer> undo_bzimage_payload(Bytes file, const std::string& name);

/// As undo_image, for a bzImage.
Result<Buffer> undo_bzimage(Bytes file, const std::string& name);

}  // namespace trapline::patch
