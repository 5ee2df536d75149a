// SPDX-License-Identifier: Apache-2.0
// The files that a run of a guest reads, and what its dumps are written to.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "executor/host/monitor_message.h"
#include "executor/mmu/guest_memory.h"
#include "support/error.h"

namespace trapline::cli {

struct GuestFiles {
    std::string name;
    std::vector<std::uint8_t> image;  ///< without compression around it; a bzImage as it is
    std::string part;                 ///< "payload" when the image was taken out of a bzImage; else empty
    std::vector<std::uint8_t> initrd; ///< empty for none
    std::string sha256;               ///< of the image, where that is known already; else empty
    std::vector<std::uint8_t> plan;   ///< the section of that name in a patched file (patch/embedded_plan.h); empty for none
};

/// Reads both; "-" is standard input, an empty `initrd` none. A patched image comes as it was before: of a patched bzImage the kernel alone, or
/// with `whole` all of it, which takes the seconds that compressing takes. Fails with `io`, with `malformed` for an empty initrd, and as image::decompress does.
Result<GuestFiles> read_guest_files(const std::string& image, const std::string& initrd, bool whole);

/// The image's SHA-256: of a bzImage its own, not the kernel's inside.
std::string sha256_of(const GuestFiles& files);

/// Where the image's own code is when it runs.
struct ImageParts {
    std::string sha256;               ///< of the innermost file
    std::string code_part;            ///< "payload" of a bzImage, else ""
    std::vector<std::pair<std::uint64_t, std::uint64_t>> code;  ///< executable ranges of that part; empty when they are unknown
    std::string part_of(std::uint64_t linear) const;
};
/// `at_link_addresses`: the guest runs where it was linked.
ImageParts find_parts(const GuestFiles& files, bool at_link_addresses);

/// Writes an ELF core and beside it PATH.txt. Parts of RAM that are zero take no room where the file system allows. After a failure the target is as it was.
Status write_crash_dump(const std::string& path, const std::string& what, const executor::RegisterDump& registers, const executor::LastHappenings& last,
                        const executor::SharedPages& ram);

/// Text of several lines that a terminal may show: each line as reports::printable makes it.
std::string printable_lines(const std::string& text);

}  // namespace trapline::cli
