// SPDX-License-Identifier: Apache-2.0
// Turns places of flagged instructions into findings: decodes in full, names symbol, tables and tags.
#pragma once

#include <span>

#include "classify/tags.h"
#include "decode/decoder.h"
#include "image/source_lines.h"
#include "scan/finding.h"
#include "scan/section_code.h"
#include "scan/table_context.h"

namespace trapline::scan {

/// Writes the findings of one image. Immutable, so threads share one; the decoder is each thread's own.
class FindingWriter {
public:
    FindingWriter(const image::Image& image, const classify::TagTable& tags, const TableContext& tables)
        : image_(&image), tags_(&tags), tables_(&tables) {}

    /// Describes the instruction at `offset`. Has both witnesses confirm it; where they differ, `disagreements` says so.
    /// Nothing when the place holds no listed form after all. The source line stays empty: see add_source_lines.
    std::optional<Finding> write(const SectionCode& code, std::uint64_t offset, Evidence evidence,
                                 decode::Reconciler& decoder) const;

    /// Adds file and line to all findings at once, `places` being where they stand: one pass over the image's line tables
    /// answers for all of them. Where an alternative's replacement has no line, that of the place it runs at is taken.
    /// Returns notes about what could not be read. Costs nothing for images without line tables.
    std::vector<std::string> add_source_lines(std::vector<Finding>& findings, std::span<const image::SourcePlace> places) const;

private:
    const image::Image* image_;
    const classify::TagTable* tags_;
    const TableContext* tables_;
};

}  // namespace trapline::scan
