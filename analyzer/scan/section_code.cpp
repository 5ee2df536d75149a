// SPDX-License-Identifier: Apache-2.0
// Offsets, windows and overlaps inside one section.
#include "scan/section_code.h"

#include <algorithm>

#include "decode/structure.h"

namespace trapline::scan {

bool CodeMap::overlaps_swept(std::uint64_t offset, int length) const {
    const std::uint64_t end = std::min<std::uint64_t>(offset + static_cast<std::uint64_t>(length), cells_.size());
    for (std::uint64_t at = offset + 1; at < end; ++at)
        if (swept_length(at) != 0) return true;
    // Swept instructions do not overlap each other, so the nearest start before decides.
    for (std::uint64_t back = 1; back < decode::kMaxInstructionLength && back <= offset; ++back)
        if (const int before = swept_length(offset - back); before != 0) return static_cast<std::uint64_t>(before) > back;
    return false;
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> CodeMap::swept_at(std::uint64_t offset) const {
    for (std::uint64_t back = 0; back < decode::kMaxInstructionLength && back <= offset; ++back) {
        const auto length = static_cast<std::uint64_t>(swept_length(offset - back));
        if (length == 0) continue;
        if (length <= back) break;  // swept instructions do not overlap, so the nearest start decides
        return std::pair(offset - back, offset - back + length);
    }
    return std::nullopt;
}

Mode mode_of(const image::Section& section) {
    switch (section.width) {
        case image::CodeWidth::bits16: return section.real_mode ? Mode::real16 : Mode::protected16;
        case image::CodeWidth::bits32: return Mode::protected32;
        case image::CodeWidth::bits64: return Mode::long64;
    }
    return Mode::long64;
}

SectionCode::SectionCode(const image::Section& the_section, image::SectionIndex the_index)
    : section(&the_section), index(the_index), bytes(the_section.bytes), mode(mode_of(the_section)),
      map(the_section.bytes.size()) {}

Bytes SectionCode::window(std::uint64_t offset) const {
    return bytes.subspan(offset, std::min<std::size_t>(bytes.size() - offset, decode::kMaxInstructionLength + 1));
}

std::optional<std::uint64_t> SectionCode::offset_of(VirtAddr address) const {
    if (address < section->address || address - section->address >= bytes.size()) return std::nullopt;
    return address - section->address;
}

}  // namespace trapline::scan
