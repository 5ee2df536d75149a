// SPDX-License-Identifier: Apache-2.0
// Control flow that the instruction bytes do not show: alternatives, exception fixups and jump labels.
#pragma once

#include <span>
#include <vector>

#include "scan/code_places.h"

namespace trapline::scan {

/// Edges that a kernel's tables add to the control-flow graph.
///
/// An alternative's replacement is copied over the original at boot: it is reached when the original is, and where its
/// last instruction falls through, control goes on behind the original, not into the next replacement. So it does behind
/// an original whose replacement is empty, and behind a jump label, which may be a NOP. A direct branch in
/// a replacement is linked at the replacement's own address, and the kernel corrects the displacement while it copies so
/// that the target stays (Linux arch/x86/kernel/alternative.c: recompute_jump and the CALL case up to 6.3,
/// apply_relocation after), so the bytes as they stand in the file give the true target.
class TableEdges {
public:
    /// Looks at the sections' bytes, not at their maps. Entries that lead out of the sections under scan are left out.
    TableEdges(const image::Image& image, const CodePlaces& places, const std::vector<SectionCode>& sections);
    /// Marks every place with an edge as a landmark in its section's map. After the sweep.
    void mark(std::vector<SectionCode>& sections) const;

    /// Says where control may also go when the instruction at a landmark is reached. May repeat places.
    std::span<const std::pair<CodePlace, CodePlace>> from(CodePlace place) const;
    /// Says where control goes on when an instruction at `place` falls through to `next` and that is the end of its
    /// alternative's replacement. Nothing when the instruction is in no replacement or not its last.
    std::optional<CodePlace> after_replacement(CodePlace place, std::uint64_t next) const;
    /// Says whether a section may hold replacements of alternatives.
    bool has_replacements(std::size_t section) const {
        return !replacements_.empty() && section >= replacements_.front().begin.section && section <= replacements_.back().begin.section;
    }

private:
    struct Replacement {
        CodePlace begin;
        std::uint64_t end = 0;
        CodePlace resume;
    };
    void add_edge(std::optional<CodePlace> from, std::optional<CodePlace> to);
    void add_replacement(const image::TableEntry& entry, const image::TableEntry& original, const CodePlaces& places,
                         const std::vector<SectionCode>& sections);

    std::vector<std::pair<CodePlace, CodePlace>> edges_;  ///< sorted
    std::vector<Replacement> replacements_;               ///< sorted by begin
};

}  // namespace trapline::scan
