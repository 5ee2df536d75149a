// SPDX-License-Identifier: Apache-2.0
// Offsets, windows and overlaps inside one section.
#include "scan/section_code.h"

#include <algorithm>
#include <cstring>

#include "decode/structure.h"

namespace trapline::scan {

std::uint64_t CodeMap::reached_bytes() const {
    // Eight cells at a time: there are as many cells as bytes of code.
    constexpr std::uint64_t kEach = 0x0101010101010101;
    std::uint64_t sum = 0;
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= cells_.size(); at += sizeof(std::uint64_t)) {
        std::uint64_t cells;
        std::memcpy(&cells, cells_.data() + at, sizeof cells);
        const std::uint64_t reached = (cells / kReached) & kEach;           // 1 for each cell that is
        const std::uint64_t lengths = cells & (reached * kLength);
        sum += (lengths * kEach) >> 56;  // at most 8 * 15, which one byte holds
    }
    for (; at < cells_.size(); ++at)
        if (cells_[at] & kReached) sum += cells_[at] & kLength;
    return sum;
}

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

}  // namespace trapline::scan
