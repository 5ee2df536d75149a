// SPDX-License-Identifier: Apache-2.0
// The relocations of a patched relocatable file, held against the plan: what the module loader will put into stubs and writes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/image.h"
#include "patch/plan.h"

namespace trapline::patch::proof {

/// The section that the rewriter adds. Must match the name in rewrite_elf.h.
inline constexpr std::string_view kModuleStubs = ".trapline.stubs";

/// Computes fields as a loader would that puts every section at 0, which is how a plan gives them. Each function changes
/// `bytes`, which are the file's, and gives what is wrong in a clause; empty when nothing is. The image must outlive this.
class ModuleFields {
public:
    explicit ModuleFields(const image::Image& image) : image_(image) {}

    /// Fills the fields of a write: a jump, which must lead to the section of the stubs, or the entry of an alternative.
    std::string fill_write(const PlanWrite& write, std::vector<std::uint8_t>& bytes) const;
    /// Fills the fields of a stub of `patch`. Each fixup of the plan must have a relocation of its kind that leads where the
    /// kind says, and no other field may have one.
    std::string fill_stub(const PlanPatch& patch, const PlanStub& stub, std::vector<std::uint8_t>& bytes) const;

private:
    std::vector<const image::RelocationSlot*> find_slots(std::string_view section, std::uint64_t address, std::uint64_t size) const;
    std::string fill_alternative(const PlanWrite& write, std::vector<std::uint8_t>& bytes) const;
    std::string_view code_section(const PlanPatch& patch) const;
    const image::TableEntry* find_entry(const PlanWrite& write, image::TableKind kind) const;
    std::string_view name_of(image::SectionIndex section) const { return image_.sections[section].name; }
    const image::Image& image_;
};

}  // namespace trapline::patch::proof
