// SPDX-License-Identifier: Apache-2.0
// File and line of places in the code of an image that carries DWARF line tables.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "image/image.h"

namespace trapline::image {

/// A place to ask for; in a relocatable file the address is section-relative, as everywhere in an Image.
struct SourcePlace {
    SectionIndex section = 0;
    VirtAddr address;
};

struct SourceLine {
    std::string file;         ///< as DWARF names it, joined to the directory of the compilation; empty when unknown
    std::uint32_t line = 0;   ///< from 1 on; 0 when unknown
};

struct SourceLines {
    std::vector<SourceLine> lines;   ///< one for each place asked for
    std::vector<std::string> notes;  ///< at most one: what of the debug information could not be read, and the first reason
};

/// Finds the lines of many places in one pass over .debug_line, in which no row is kept. Where tables contradict each
/// other the first in the file answers; nothing answers for bytes that a compiler gives line 0. Reads the ELF file that
/// the image was opened from (Image::storage); an image without one, or without line tables, gives no lines and no note.
///
/// The image is only read and nothing is remembered, so any thread may call this at any time. Hostile input costs time
/// linear in the file. Memory, besides the answers (256 MiB of names at most): relocated sections of a relocatable file
/// twice, decompressed ones up to 1 GiB, and the names of one line table.
SourceLines find_source_lines(const Image& image, std::span<const SourcePlace> places);

}  // namespace trapline::image
