// SPDX-License-Identifier: Apache-2.0
// What a rewriter must know about an image's code besides its sensitive instructions: where instructions begin, where
// control or a pointer may lead, and which bytes the kernel itself reads or rewrites.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "decode/instruction_decoder.h"
#include "image/image.h"
#include "scan/code_places.h"
#include "scan/section_code.h"

namespace trapline::scan {

/// Why an address must stay the start of an instruction.
enum class TargetKind : std::uint8_t {
    branch,      ///< "branch": a direct jump or call leads here
    returned,    ///< "return": a call returns here, or the handler of an UD2 does
    symbol,      ///< "symbol"
    pointer,     ///< "pointer": a relocation, an entry or a word of data names it
    reference,   ///< "reference": an immediate, a displacement or a rip-relative operand of an instruction names it
    table,       ///< "table": a kernel table leads here: a fixup, a jump label's target, the end of an alternative
};
std::string_view to_string(TargetKind kind);

struct CodeTarget {
    CodePlace place;
    TargetKind kind = TargetKind::branch;
    friend constexpr auto operator<=>(const CodeTarget&, const CodeTarget&) = default;
};

/// Bytes that must stand as they are, because something other than the processor reads or writes them. Where a table gives
/// a point, the range is the instruction that holds it: the kernel decodes or replaces it as a whole.
struct ProtectedRange {
    CodePlace begin;
    std::uint64_t end = 0;                                  ///< offset in the same section
    image::TableKind kind = image::TableKind::jump_label;
    std::size_t table_entry = 0;                            ///< index into Image::tables
};

/// The facts of one image, which must live longer. They speak of the sections under scan only: a plan needs all of them
/// scanned, or it misses what the others lead to.
class CodeFacts {
public:
    /// Takes sections that have been swept and descended into. The decoder is used during construction only.
    CodeFacts(const image::Image& image, std::vector<SectionCode>&& sections, const decode::InstructionDecoder& decoder);

    const image::Image& image() const { return *image_; }
    const std::vector<SectionCode>& sections() const { return *sections_; }
    /// Finds a place by the image's section index and an address (section-relative in a relocatable image).
    std::optional<CodePlace> find(image::SectionIndex section, VirtAddr address) const { return places_.find_in(section, address); }

    /// Finds a place by a linear address; nothing in a relocatable image.
    std::optional<CodePlace> find(VirtAddr address) const { return places_.find(address); }

    /// Every address known to be led to, sorted, several kinds for one place possible.
    const std::vector<CodeTarget>& targets() const { return targets_; }
    /// The first target in [begin, end) of a section; null when there is none.
    const CodeTarget* find_target(CodePlace begin, std::uint64_t end) const;
    /// The protected ranges that share a byte with [begin, end), in order.
    std::vector<const ProtectedRange*> find_protected(CodePlace begin, std::uint64_t end) const;
    /// The relocation slots that share a byte with [begin, end): their offsets in the section, in order. Slots are those
    /// of the image's own relocations and of the table behind a kernel's payload, which the boot code applies.
    std::vector<image::RelocationSlot> find_slots(CodePlace begin, std::uint64_t end) const;
    /// The start of the swept instruction that ends at `place`; nothing when none does.
    std::optional<std::uint64_t> find_previous(CodePlace place) const;

private:
    void collect_protected();

    const image::Image* image_;
    std::unique_ptr<const std::vector<SectionCode>> sections_;  ///< places_ points to it, also after a move
    CodePlaces places_;
    std::vector<CodeTarget> targets_;
    std::vector<ProtectedRange> protected_;        ///< sorted by begin
    std::vector<CodePlace> protected_end_;         ///< the farthest end of the ranges up to each one
};

}  // namespace trapline::scan
