// SPDX-License-Identifier: Apache-2.0
// Finds every sensitive and privileged instruction of an image.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "classify/tags.h"
#include "image/image.h"
#include "scan/code_facts.h"
#include "scan/finding.h"

namespace trapline::scan {

struct ScanOptions {
    int jobs = 0;              ///< threads; 0 for all processors
    std::string section;       ///< scan only the sections of this name; empty for all executable ones
    bool count_all = false;    ///< fill ScanDocument::all_mnemonics
    /// Called from any thread, one call at a time, with bytes done and bytes in all; may be empty.
    std::function<void(std::uint64_t, std::uint64_t)> progress;
    /// Takes what scan() needed when it is done, to free it when that suits: it is as large as the code, and the report waits
    /// for the return. May be empty.
    std::function<void(std::shared_ptr<const void>)> retire;
};

/// Scans all executable sections: a linear sweep split at symbols, then recursive descent from entries, symbols,
/// relocations and tables that upgrades findings from swept to reached and finds hidden, overlapping ones.
/// The result does not depend on the number of jobs.
ScanDocument scan(const image::Image& image, const isa::Database& database, const classify::TagTable& tags,
                  const ScanOptions& options);

struct ScanWithFacts {
    ScanDocument document;
    CodeFacts facts;
};

/// The same scan, and what a rewriter must know besides. The image must outlive the facts; everything else may go.
/// With ScanOptions::section the facts speak of those sections alone, which is not enough for a plan.
ScanWithFacts scan_with_facts(const image::Image& image, const isa::Database& database, const classify::TagTable& tags,
                              const ScanOptions& options);

}  // namespace trapline::scan
