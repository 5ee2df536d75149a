// SPDX-License-Identifier: Apache-2.0
// The code of one section while it is scanned, with one byte of knowledge for each byte of code.
#pragma once

#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "image/image.h"
#include "isa/mode.h"
#include "support/zeroed_bytes.h"

namespace trapline::scan {

/// What the scan knows about each byte offset of a section.
///
/// One byte for each byte of code, no bits: chunks that are swept in parallel share no word, and the length that the
/// sweep found stays at hand, so that the descent need not decode a second time. Costs as much memory as the code
/// itself (25 MB for a stock amd64 kernel) and no allocation for each instruction.
///
/// Cells may start out with what was decoded ahead of the sweep (scan/decode_ahead.h). The sweep reads a cell before it
/// writes it, and writes all of them.
class CodeMap {
public:
    explicit CodeMap(std::size_t size) : CodeMap(std::make_shared<ZeroedBytes>(size), 0, size) {}
    /// Takes cells [offset, offset + size) of `cells`, which nobody else may use.
    CodeMap(const std::shared_ptr<ZeroedBytes>& cells, std::uint64_t offset, std::size_t size) : cells_(cells, cells->data() + offset), size_(size) {}
    CodeMap(CodeMap&&) = default;
    CodeMap& operator=(CodeMap&&) = default;

    /// The cell of an instruction that a sweep meets; `length` is 1..15. `may_transfer`: control may go elsewhere than to
    /// the next instruction.
    static constexpr std::uint8_t instruction(int length, bool flagged, bool may_transfer) {
        return static_cast<std::uint8_t>(length | (flagged ? kFlagged : 0) | (may_transfer ? kTransfer : 0));
    }
    /// Gives what was decoded ahead at an offset that the sweep has not written yet: instruction(...), or 0.
    std::uint8_t ahead(std::uint64_t offset) const { return cells_.get()[offset]; }
    static constexpr int length_of(std::uint8_t instruction) { return instruction & kLength; }
    static constexpr bool is_flagged_cell(std::uint8_t instruction) { return instruction & kFlagged; }
    static constexpr bool may_transfer_cell(std::uint8_t instruction) { return instruction & kTransfer; }

    /// Records an instruction that the sweep met. All of its bytes lie before `end`, up to which no other thread has cells.
    void set_swept(std::uint64_t offset, std::uint8_t instruction, std::uint64_t end) {
        std::uint8_t* const cell = cells_.get() + offset;
        const int length = instruction & kLength;
        cell[0] = instruction;
        // Hardly ever was anything decoded ahead inside an instruction, and one look at eight cells tells.
        std::uint64_t inside = ~std::uint64_t{0};
        if (length <= 9 && end - offset > sizeof inside) {
            std::memcpy(&inside, cell + 1, sizeof inside);
            if constexpr (std::endian::native == std::endian::little) inside &= length == 9 ? inside : (std::uint64_t{1} << (8 * (length - 1))) - 1;
        }
        if (inside == 0) return;
        for (int i = 1; i < length; ++i) cell[i] = 0;
    }
    void set_padding(std::uint64_t begin, std::uint64_t end) { std::memset(cells_.get() + begin, kFlagged, end - begin); }
    /// Records bytes that are neither.
    void set_nothing(std::uint64_t begin, std::uint64_t end) { std::memset(cells_.get() + begin, 0, end - begin); }
    /// Marks an offset at which the kernel's tables add edges: see TableEdges. After the sweep.
    void set_landmark(std::uint64_t offset) { cells_.get()[offset] |= kLandmark; }
    /// Marks an offset as reached. Threads may call it at the same time, and beside everything that only reads: nothing else
    /// of a cell changes meanwhile, so no two writes differ.
    void set_reached(std::uint64_t offset) { std::atomic_ref(cells_.get()[offset]).store(cell(offset) | kReached, std::memory_order_relaxed); }
    /// The same, and says whether this call was the first to: a locked instruction, ten times the price.
    bool claim_reached(std::uint64_t offset) {
        return (std::atomic_ref(cells_.get()[offset]).fetch_or(kReached, std::memory_order_relaxed) & kReached) == 0;
    }
    void clear_reached() {
        for (std::size_t at = 0; at < size_; ++at) cells_.get()[at] = static_cast<std::uint8_t>(cells_.get()[at] & ~kReached);
    }

    /// Has the processor load what is known of an offset that will be asked for soon.
    void fetch(std::uint64_t offset) const { __builtin_prefetch(cells_.get() + offset); }

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

    /// Gives the first flagged instruction of the sweep in [begin, end); `end` when there is none.
    std::uint64_t next_flagged(std::uint64_t begin, std::uint64_t end) const;

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
        return std::atomic_ref(cells_.get()[offset]).load(std::memory_order_relaxed);
    }
    std::shared_ptr<std::uint8_t> cells_;  ///< the first one; owns the array they lie in
    std::size_t size_;
};

/// One section under scan. Offsets are relative to the section's start; all are below bytes.size().
struct SectionCode {
    SectionCode(const image::Section& the_section, image::SectionIndex the_index);
    /// The same with a map that holds what was decoded ahead.
    SectionCode(const image::Section& the_section, image::SectionIndex the_index, CodeMap the_map);

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
