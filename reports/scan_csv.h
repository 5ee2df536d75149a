// SPDX-License-Identifier: Apache-2.0
// The findings of a scan as CSV for spreadsheets and scripts.
#pragma once

#include <string>

#include "reports/sink.h"
#include "scan/finding.h"

namespace trapline::reports {

/// Writes a heading and one row for each finding: `address, file_offset, section, symbol, symbol_offset, file, line, mode,
/// bytes, text, mnemonic, form, privileged, control_sensitive, behavior_sensitive, critical, evidence, context, part, image`.
/// Fields are quoted after RFC 4180 and guarded against formulas (csv_field); lines end in LF, which its readers take too.
/// Yes-or-no tags are "yes" and "no"; `line` is empty when unknown; contexts are joined by "; ". The tables of a batch can be
/// joined: only the first has a heading, and `image` tells the rows apart.
void write_scan_csv(const ScanDocument& document, const Sink& sink, bool with_heading = true);

}  // namespace trapline::reports
