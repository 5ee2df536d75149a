// SPDX-License-Identifier: Apache-2.0
// A plan carried out on one ELF file: a kernel, the payload of a bzImage, or a module.
#pragma once

#include <string>
#include <vector>

#include "patch/plan.h"
#include "patch/rewrite_check.h"
#include "patch/rewrite_elf.h"

namespace trapline::patch {

/// Bound for sections of a file that is rewritten.
inline constexpr std::uint64_t kMaxSections = 65536;

struct PatchOptions {
    bool embed_undo = true;               ///< the result holds its own undo record as a section; otherwise the caller keeps it
    bool empty_relocation_table = false;  ///< the table behind a kernel's ELF loses its entries (see has_relocation_table)
};

/// Says whether what follows the ELF looks like the relocation table of a kernel: one to three lists of words, each led by
/// a zero. The boot code needs it only to move the kernel away from the address it is linked at.
bool has_relocation_table(Bytes file, const image::ElfFile& elf);

/// Applies the plan.
Result<EditedElf> patch_elf(Bytes file, const PlanDocument& plan, const PatchOptions& options, const std::string& name, std::vector<std::string>& notes);

/// Adds to `edit` what a relocatable file needs beside the plan's bytes (rewrite_module.cpp): relocations of the stubs and
/// for jumps both ways, and symbols to relate them to. Fails with `refused` for a write over a field that a relocation
/// fills, `unsupported` for stubs with fields that the plan does not name (those that call the VMM).
Status add_relocations(ElfEdit& edit, Bytes file, const PlanDocument& plan, const CheckedPlan& checked, const image::ElfFile& elf, const std::string& name);

/// Finds the undo record of a patched ELF file; nothing when the file is not patched.
std::optional<Bytes> find_undo(Bytes file, const std::string& name);

}  // namespace trapline::patch
