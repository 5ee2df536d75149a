// SPDX-License-Identifier: Apache-2.0
// What a plan must fulfil before a single byte of a file is written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "image/bzimage.h"
#include "image/elf_reader.h"
#include "patch/plan.h"
#include "patch/rewrite_writer.h"

namespace trapline::patch {

/// Parts of a bzImage, as the scan names them.
inline constexpr std::string_view kSetupPart = "setup", kStubPart = "stub", kPayloadPart = "payload";

/// The code that the stubs of a plan amount to: one run, the gaps between stubs filled with INT3.
struct StubArea {
    std::uint64_t address = 0;  ///< of the first byte; 0 in a relocatable file, where addresses are offsets in the area
    Buffer bytes;               ///< empty when the plan has no stubs
};

/// One write of the plan with its place in the file.
struct CheckedWrite {
    const PlanWrite* write = nullptr;
    const PlanPatch* patch = nullptr;
    std::uint32_t section = 0;  ///< ELF section index; 0 in a setup or boot stub
};

/// A plan that fits one ELF file.
struct CheckedPlan {
    std::vector<CheckedWrite> writes;  ///< by file offset
    StubArea stubs;
    std::uint64_t elsewhere = 0;  ///< writes into the setup and the boot stub of the bzImage that the ELF file came in
};

/// Holds the plan against the file and itself: the file is the plan's by SHA-256; every write lies inside one section
/// that has bytes, at the address that the plan says, over the bytes that the plan expects; no two writes overlap; stubs
/// lie in a range that the plan reserves for them, clear of each other and of the image; numbers that refer to other
/// parts of the plan exist. Fails with `inconsistent`, `refused` or `malformed`, naming place, found and expected; the first
/// fault found is the one told. `elf` is the file's headers, `sha256` its hash.
Result<CheckedPlan> check_plan(const PlanDocument& plan, Bytes file, const image::ElfFile& elf, const std::string& sha256, const std::string& name);

/// Holds the stubs of the boot stub against the bzImage: they lie in the range that the plan reserves, which is the end of the
/// payload's room, clear of each other. Gives the range with its bytes, addresses as in that part; empty when the plan has none.
Result<StubArea> check_boot_stubs(const PlanDocument& plan, const image::BzImage& header, const std::string& name);

/// Holds the plan's writes into the setup and the boot stub against the bzImage as check_plan does those into the payload; none
/// may touch the setup header. Gives them by file offset.
Result<std::vector<CheckedWrite>> check_boot_writes(const PlanDocument& plan, Bytes file, const std::string& name);

}  // namespace trapline::patch
