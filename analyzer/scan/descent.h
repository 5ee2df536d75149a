// SPDX-License-Identifier: Apache-2.0
// Recursive descent: which instructions control flow proves, and which overlap what the sweep saw.
#pragma once

#include "decode/decoder.h"
#include "scan/flagged_forms.h"
#include "scan/table_edges.h"

namespace trapline::scan {

/// A flagged instruction that descent found where the sweep has no start.
struct DescentFinding {
    CodePlace place;
    bool hidden = false;  ///< it shares bytes with an instruction of the sweep; otherwise it fills a gap of the sweep
};

struct DescentResult {
    std::vector<DescentFinding> findings;         ///< by section and offset, without repeats
    std::uint64_t hidden_instructions = 0;        ///< all overlapping decodes, flagged or not
    std::uint64_t refused_pointers = 0;           ///< pointers from relocations and data that lead inside an instruction
    std::vector<std::uint64_t> reached_bytes;     ///< for each section; a hidden instruction's bytes are not counted again
    bool truncated = false;                       ///< more findings than kMaxDescentFindings; the rest is not listed
};

inline constexpr std::size_t kMaxDescentFindings = 100'000;

/// Follows control flow from the image's pointers and function symbols through direct branches, calls, fall-through and
/// table edges, and marks every instruction it meets as reached. Call once, after the sweep of all sections.
///
/// What counts as proof, and where it stops:
/// - Entries, symbols and kernel tables are believed wherever they point. A pointer from a relocation or from data is
///   followed only to an instruction of the sweep: data words often look like code addresses, and kernels keep pointers
///   to immediates that they patch.
/// - In a relocatable image a displacement of 16 or 32 bits may be the addend of a relocation yet to come. It is followed
///   only inside its section, only to an instruction of the sweep, and never when it is 0, the addend of an x86-64
///   branch to an undefined symbol (RELA). (On i386 that addend is -4, which leads into the branch itself.)
/// - Calls are taken to return. UD2 ends a path, although Linux's WARN resumes behind it.
/// - A path ends in INT3 and zero filler and at undecodable bytes.
/// The set of reached instructions is a least fixpoint, so the order of work does not show in the result, nor does the
/// number of `jobs`, the threads that share it.
DescentResult descend(const image::Image& image, std::vector<SectionCode>& sections, const CodePlaces& places,
                      const TableEdges& edges, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged, int jobs);

}  // namespace trapline::scan
