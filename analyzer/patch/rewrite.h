// SPDX-License-Identifier: Apache-2.0
// Follows a plan: a patched image of the same format, and the way back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "patch/plan.h"
#include "support/bytes.h"

namespace trapline::patch {

/// A file that was made.
struct Rewritten {
    std::vector<std::uint8_t> bytes;
    std::vector<std::string> notes;  ///< what the user should know: a signature that was dropped, a table left out
    bool unchanged = false;          ///< the input was already patched with this plan
};

/// Patches an ELF file or a bzImage. In it are the plan's writes; the stubs in a section and segment of their own
/// (.trapline.stubs); a table of the sites (.trapline.sites, see rewrite_sites.h); and what undo needs. A file already
/// patched with the same plan comes back as it is. Pure and deterministic. Fails, with nothing made, as check_plan does;
/// with `refused` when the file is patched with another plan or a payload finds no room; with `unsupported` for what cannot
/// be written. `name` is the file named in errors. Memory: some four times the payload, and the compressor's own.
Result<Rewritten> rewrite_image(Bytes file, const PlanDocument& plan, const std::string& name);

/// Gives the original kernel, an ELF file, out of a bzImage that rewrite_image made: in a fraction of a second, since nothing gets
/// compressed. Nothing when `file` is no patched bzImage. Fails as undo_image does.
Result<std::optional<std::vector<std::uint8_t>>> find_original_kernel(Bytes file, const std::string& name);

/// Restores the file that rewrite_image was given, bit for bit: its recorded SHA-256 is held against the result. Fails with
/// `inconsistent` when the patched file was changed since, `malformed` when it is not a patched file.
Result<Rewritten> undo_image(Bytes file, const std::string& name);

}  // namespace trapline::patch
