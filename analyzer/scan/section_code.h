// SPDX-License-Identifier: Apache-2.0
// The code of one section while it is scanned, with one byte of knowledge for each byte of code.
#pragma once

#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "image/image.h"
#include "isa/mode.h"

namespace trapline::scan {

/// What the scan knows about each byte offset of a section.
///
/// One byte for each byte of code, no bits: chunks that are swept in parallel share no word, and the length that the
/// sweep found stays at hand, so that the descent need not decode a second time. Costs as much memory as the code
/// itself (25 MB for a stock amd64 kernel) and no allocation for each instruction.
class CodeMap {
public:
    explicit CodeMap(std::size_t size) : cells_(size) {}

    /// Records an instruction that the sweep met; `length` is 1..15. `may_transfer`: control may go elsewhere than to the
    /// next instruction.
    void set_swept(std::uint64_t offset, int length, bool flagged, bool may_transfer) {
        cells_[offset] = static_cast<std::uint8_t>((cells_[offset] & ~kLength) | length | (flagged ? kFlagged : 0) | (may_transfer ? kTransfer : 0));
    }
    void set_padding(std::uint64_t begin, std::uint64_t end) {
        for (std::uint64_t at = begin; at < end; ++at) cells_[at] |= kFlagged;
    }
    /// Marks an offset at which the kernel's tables add edges: see TableEdges.
    void set_landmark(std::uint64_t offset) { cells_[offset] |= kLandmark; }
    /// Marks an offset as reached. Threads may call it at the same time, and beside everything that only reads: nothing else
    /// of a cell changes meanwhile, so no two writes differ.
    void set_reached(std::uint64_t offset) { std::atomic_ref(cells_[offset]).store(cell(offset) | kReached, std::memory_order_relaxed); }
    /// The same, and says whether this call was the first to: a locked instruction, ten times the price.
    bool claim_reached(std::uint64_t offset) {
        return (std::atomic_ref(cells_[offset]).fetch_or(kReached, std::memory_order_relaxed) & kReached) == 0;
    }
    void clear_reached() {
        for (std::uint8_t& cell : cells_) cell = static_cast<std::uint8_t>(cell & ~kReached);
    }

    /// Length of the swept instruction that starts here, 0 when none does.
    int swept_length(std::uint64_t offset) const { return cell(offset) & kLength; }
    bool is_flagged(std::uint64_t offset) const { return (cell(offset) & kFlagged) != 0 && swept_length(offset) != 0; }
    bool is_padding(std::uint64_t offset) const { return (cell(offset) & (kFlagged | kLength)) == kFlagged; }
    /// Says that the swept instruction falls through, is no landmark and was not reached before: the descent just passes.
    bool is_plain(std::uint64_t offset) const { return (cell(offset) & (kReached | kTransfer | kLandmark)) == 0; }
    /// Says whether the swept instruction that starts here may send control elsewhere than to the next one.
    bool may_transfer(std::uint64_t offset) const { return cell(offset) & kTransfer; }
    bool is_landmark(std::uint64_t offset) const { return cell(offset) & kLandmark; }
    bool is_reached(std::uint64_t offset) const { return cell(offset) & kReached; }

    /// Bytes of the swept instructions that are marked as reached.
    std::uint64_t reached_bytes() const;

    /// Says whether [offset, offset + length) shares a byte with a swept instruction that starts elsewhere.
    bool overlaps_swept(std::uint64_t offset, int length) const;

    /// Gives the swept instruction that holds a byte, as [begin, end); nothing when none does.
    std::optional<std::pair<std::uint64_t, std::uint64_t>> swept_at(std::uint64_t offset) const;

private:
    /// No instruction begins inside padding, so kFlagged without a length says padding.
    static constexpr std::uint8_t kLength = 0x0F, kFlagged = 0x10, kReached = 0x20, kTransfer = 0x40, kLandmark = 0x80;
    std::uint8_t cell(std::uint64_t offset) const {
        // atomic_ref has no form for constants before C++26; the load changes nothing.
        return std::atomic_ref(const_cast<std::uint8_t&>(cells_[offset])).load(std::memory_order_relaxed);
    }
    std::vector<std::uint8_t> cells_;
};

/// One section under scan. Offsets are relative to the section's start; all are below bytes.size().
struct SectionCode {
    SectionCode(const image::Section& the_section, image::SectionIndex the_index);

    const image::Section* section;
    image::SectionIndex index;  ///< in Image::sections
    Bytes bytes;
    Mode mode;
    CodeMap map;
    std::vector<std::uint64_t> splits;  ///< offsets where an instruction must begin, sorted; the first is 0

    VirtAddr address_of(std::uint64_t offset) const { return section->address + offset; }
    /// The bytes from `offset` on, as many as a decoder may want: one more than the longest instruction.
    Bytes window(std::uint64_t offset) const;
    /// The offset of an address; nothing outside the section.
    std::optional<std::uint64_t> offset_of(VirtAddr address) const {
        const std::uint64_t offset = address.value - section->address.value;  // wraps, and then fails the test, below the section
        if (offset >= bytes.size()) return std::nullopt;
        return offset;
    }
};

/// Gives the mode in which a section's code runs.
Mode mode_of(const image::Section& section);

}  // namespace trapline::scan
