// SPDX-License-Identifier: Apache-2.0
// Offsets after "Microsoft PE and COFF Specification", sections 3 (file headers) and 4 (section table).
#include "image/pe_sections.h"

#include <algorithm>

namespace trapline::image {

const PeSection* PeSections::find(std::string_view name) const {
    const auto found = std::find_if(sections.begin(), sections.end(), [&](const PeSection& s) { return s.name == name; });
    return found == sections.end() ? nullptr : &*found;
}

std::optional<PeSections> read_pe_sections(ByteView view) {
    constexpr std::uint64_t kCoffSize = 24, kSectionSize = 40;
    if (view.get<std::uint16_t>(0) != 0x5A4D) return std::nullopt;
    PeSections pe;
    pe.header_offset = view.get<std::uint32_t>(0x3C).value_or(0);
    if (view.get<std::uint32_t>(pe.header_offset) != 0x00004550u) return std::nullopt;
    const auto count = view.get<std::uint16_t>(pe.header_offset + 6);
    const auto optional_size = view.get<std::uint16_t>(pe.header_offset + 20);
    const auto entry = view.get<std::uint32_t>(pe.header_offset + kCoffSize + 16);
    if (!count || !optional_size || !entry) return std::nullopt;
    for (std::uint64_t i = 0; i < *count; ++i) {
        const std::uint64_t at = pe.header_offset + kCoffSize + *optional_size + i * kSectionSize;
        const auto name = view.slice(at, 8);
        if (!name || !view.slice(at, kSectionSize)) return std::nullopt;
        PeSection section;
        section.name.assign(name->begin(), std::find(name->begin(), name->end(), std::uint8_t{0}));
        section.address = *view.get<std::uint32_t>(at + 12);
        section.file_size = *view.get<std::uint32_t>(at + 16);
        section.file_offset = *view.get<std::uint32_t>(at + 20);
        if (*entry >= section.address && *entry - section.address < section.file_size)
            pe.entry_offset = section.file_offset + (*entry - section.address);
        pe.sections.push_back(std::move(section));
    }
    return pe;
}

}  // namespace trapline::image
