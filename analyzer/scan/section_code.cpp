// SPDX-License-Identifier: Apache-2.0
// Offsets, windows and overlaps inside one section.
#include "scan/section_code.h"

#include <algorithm>
#include <cstring>

#include "decode/structure.h"

namespace trapline::scan {

namespace {

// Eight cells are looked at together: there are as many cells as bytes of code.
constexpr std::uint64_t kEach = 0x0101010101010101;

}  // namespace

std::uint64_t CodeMap::next_flagged(std::uint64_t begin, std::uint64_t end) const {
    std::uint64_t at = begin;
    while (at < end) {
        std::uint64_t cells;
        if (end - at >= sizeof cells) {
            std::memcpy(&cells, cells_.get() + at, sizeof cells);
            const std::uint64_t with_length = ((cells & kEach * kLength) + kEach * kLength) / kFlagged;  // bit 0 of each cell that has one
            if ((cells / kFlagged & with_length & kEach) == 0) {
                at += sizeof cells;
                continue;
            }
        }
        if (is_flagged(at)) return at;
        ++at;
    }
    return end;
}

std::uint64_t CodeMap::reached_bytes() const {
    std::uint64_t sum = 0;
    std::size_t at = 0;
    const std::uint8_t* const first = cells_.get();
    for (; at + sizeof(std::uint64_t) <= size_; at += sizeof(std::uint64_t)) {
        std::uint64_t cells;
        std::memcpy(&cells, first + at, sizeof cells);
        const std::uint64_t reached = (cells / kReached) & kEach;           // 1 for each cell that is
        const std::uint64_t lengths = cells & (reached * kLength);
        sum += (lengths * kEach) >> 56;  // at most 8 * 15, which one byte holds
    }
    for (; at < size_; ++at)
        if (first[at] & kReached) sum += first[at] & kLength;
    return sum;
}

bool CodeMap::overlaps_swept(std::uint64_t offset, int length) const {
    const std::uint64_t end = std::min<std::uint64_t>(offset + static_cast<std::uint64_t>(length), size_);
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
    : SectionCode(the_section, the_index, CodeMap(the_section.bytes.size())) {}

SectionCode::SectionCode(const image::Section& the_section, image::SectionIndex the_index, CodeMap the_map)
    : section(&the_section), index(the_index), bytes(the_section.bytes), mode(mode_of(the_section)), map(std::move(the_map)) {}

Bytes SectionCode::window(std::uint64_t offset) const {
    return bytes.subspan(offset, std::min<std::size_t>(bytes.size() - offset, decode::kMaxInstructionLength + 1));
}

}  // namespace trapline::scan
