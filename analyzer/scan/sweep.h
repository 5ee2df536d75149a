// SPDX-License-Identifier: Apache-2.0
// The linear sweep: every byte of a section is an instruction, filler, or said to be undecodable.
#pragma once

#include "decode/instruction_decoder.h"
#include "scan/finding.h"
#include "scan/flagged_forms.h"
#include "scan/section_code.h"

namespace trapline::scan {

/// A piece of a section that begins and ends at a split, so that pieces are swept independently of each other.
struct Chunk {
    std::size_t section = 0;  ///< index into the SectionCode vector
    std::uint64_t begin = 0, end = 0;
};

/// A flagged instruction that the sweep does not keep, because a split lies inside it.
struct Straddler {
    std::size_t section = 0;
    std::uint64_t offset = 0;
};

/// What a sweep of one chunk counts; each byte of the chunk is in exactly one of the four byte counts.
struct SweepCounts {
    std::uint64_t instructions = 0, instruction_bytes = 0, padding_bytes = 0, undecodable_bytes = 0;
    std::uint64_t straddling_bytes = 0;  ///< heads of instructions that run over a split
    std::uint64_t flagged = 0;
    std::uint64_t straddling = 0;        ///< instructions that run over a split
    std::vector<Straddler> flagged_straddlers;
};

/// Decodes briefly; a paravirtual emulation prefix counts as one instruction of no form.
decode::Insn decode_brief(Bytes window, Mode mode, const decode::InstructionDecoder& decoder);

/// Gives the offsets in a section at which an instruction must begin: its start, every symbol, and the
/// places that kernel tables name as the start of an instruction (alternatives and their replacements, exception table,
/// jump labels). Other tables and pointers may point at prefixes or data, so they do not split. Sorted, the first is 0.
std::vector<std::uint64_t> find_splits(const image::Image& image, image::SectionIndex section);

/// Cuts a section at splits into chunks of at least `least` bytes (the last may be smaller).
std::vector<Chunk> cut_chunks(const SectionCode& code, std::size_t section, std::uint64_t least);

/// Sweeps one chunk and records every instruction in the section's map. Threads may sweep disjoint chunks of one section
/// at the same time. An instruction that runs over a split is not recorded; decoding goes on at the split.
SweepCounts sweep_chunk(const Chunk& chunk, SectionCode& code, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged);

}  // namespace trapline::scan
