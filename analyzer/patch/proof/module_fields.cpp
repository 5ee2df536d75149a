// SPDX-License-Identifier: Apache-2.0
// A field is S + A - P or S + A (the psABI supplements), here with every section at 0.
#include "patch/proof/module_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace trapline::patch::proof {
namespace {

constexpr std::uint64_t kFieldBytes = 4;
// R_386_PC32 and R_X86_64_PC32; R_386_32; R_X86_64_32S. R_X86_64_32 is none of them: a loader refuses it an upper-half address.
constexpr std::uint32_t kRelative = 2, kAbsolute386 = 1, kAbsolute64 = 11;

void set32(std::vector<std::uint8_t>& bytes, std::uint64_t at, std::uint64_t value) {
    for (std::size_t i = 0; i < kFieldBytes; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

bool is_relative(FixupKind kind) {
    switch (kind) {
        case FixupKind::image_relative:
        case FixupKind::fixed_relative: return true;
        case FixupKind::image_address:
        case FixupKind::stub_address: return false;
    }
    return false;
}

}  // namespace

std::vector<const image::RelocationSlot*> ModuleFields::find_slots(std::string_view section, std::uint64_t address, std::uint64_t size) const {
    std::vector<const image::RelocationSlot*> found;
    for (image::SectionIndex i = 0; i < image_.sections.size(); ++i) {
        if (image_.sections[i].name != section) continue;
        // Sorted by section and address; a field that begins up to seven bytes before reaches in.
        const auto from = std::tuple(i, address < 7 ? 0 : address - 7);
        auto slot = std::partition_point(image_.slots.begin(), image_.slots.end(),
                                         [&](const image::RelocationSlot& s) { return std::tuple(s.section, s.address.value) < from; });
        for (; slot != image_.slots.end() && slot->section == i; ++slot) {
            if (slot->address.value >= address && slot->address.value - address >= size) break;
            if (slot->address.value >= address || address - slot->address.value < slot->size) found.push_back(&*slot);
        }
    }
    return found;
}

const image::TableEntry* ModuleFields::find_entry(const PlanWrite& write, image::TableKind kind) const {
    for (const image::TableEntry& entry : image_.tables)
        if (entry.kind == kind && entry.entry_size != 0 && entry.entry_address.value + kFieldBytes == write.address && name_of(entry.entry_section) == write.section)
            return &entry;
    return nullptr;
}

std::string ModuleFields::fill_alternative(const PlanWrite& write, std::vector<std::uint8_t>& bytes) const {
    const image::TableEntry* const entry = find_entry(write, image::TableKind::alternative_replacement);
    if (entry == nullptr) return "found no replacement there";
    if (name_of(entry->section) != kModuleStubs) return fmt::format("found a replacement in {}, expected one in {}", name_of(entry->section), kModuleStubs);
    set32(bytes, 0, entry->code.begin.value - write.address);
    return {};
}

std::string ModuleFields::fill_write(const PlanWrite& write, std::vector<std::uint8_t>& bytes) const {
    if (is_replacement_offset(write)) return fill_alternative(write, bytes);
    for (const image::RelocationSlot* slot : find_slots(write.section, write.address, bytes.size())) {
        const std::uint64_t at = slot->address.value - write.address;
        if (slot->type != kRelative || at >= bytes.size() || bytes.size() - at < kFieldBytes || !slot->target || name_of(slot->target_section) != kModuleStubs)
            return fmt::format("found a relocation of type {} at {:#x}, expected one that leads to {}", slot->type, slot->address.value, kModuleStubs);
        set32(bytes, at, slot->target->value - slot->address.value);
    }
    return {};
}

std::string_view ModuleFields::code_section(const PlanPatch& patch) const {
    for (const PlanWrite& write : patch.writes) {
        if (!is_replacement_offset(write)) continue;
        const image::TableEntry* const entry = find_entry(write, image::TableKind::alternative_original);
        return entry != nullptr && entry->code.begin.value == patch.begin ? name_of(entry->section) : std::string_view();
    }
    return patch.writes.empty() ? std::string_view() : std::string_view(patch.writes.back().section);
}

std::string ModuleFields::fill_stub(const PlanPatch& patch, const PlanStub& stub, std::vector<std::uint8_t>& bytes) const {
    const auto slots = find_slots(kModuleStubs, stub.address, bytes.size());
    auto fixup = stub.fixups.begin();
    for (const image::RelocationSlot* slot : slots) {
        const std::uint64_t at = slot->address.value - stub.address;
        if (fixup == stub.fixups.end() || fixup->offset != at || slot->size != kFieldBytes || at > bytes.size() || bytes.size() - at < kFieldBytes)
            return fmt::format("found a relocation of type {} at {:#x}, expected {}", slot->type, slot->address.value,
                               fixup == stub.fixups.end() ? "none" : fmt::format("one of 4 bytes at {:#x}", stub.address + fixup->offset));
        const std::string_view leads = slot->target ? name_of(slot->target_section) : slot->fixed_target ? "a fixed address" : "nowhere";
        std::string_view expected;
        switch (fixup->kind) {
            case FixupKind::image_address:
            case FixupKind::image_relative: expected = code_section(patch); break;
            case FixupKind::stub_address: expected = kModuleStubs; break;
            case FixupKind::fixed_relative: expected = "a fixed address"; break;
        }
        const std::uint32_t type = is_relative(fixup->kind) ? kRelative : image_.architecture == "x86_64" ? kAbsolute64 : kAbsolute386;
        if (slot->type != type || leads != expected)
            return fmt::format("found a relocation of type {} at {:#x} that leads to {}, expected one of type {} ({}) that leads to {}", slot->type,
                               slot->address.value, leads, type, to_string(fixup->kind), expected);
        set32(bytes, at, (slot->target ? slot->target->value : *slot->fixed_target) - (slot->pc_relative ? slot->address.value : 0));
        ++fixup;
    }
    if (fixup != stub.fixups.end()) return fmt::format("found no relocation at {:#x}, expected {}", stub.address + fixup->offset, to_string(fixup->kind));
    return {};
}

}  // namespace trapline::patch::proof
