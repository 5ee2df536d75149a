// SPDX-License-Identifier: Apache-2.0
// A scan as JSON lines, for streams and line tools: a header object, then one finding to a line.
#pragma once

#include <string>
#include <string_view>

#include "reports/sink.h"
#include "scan/finding.h"

namespace trapline::reports {

inline constexpr std::string_view kScanLinesSchema = "trapline.scan-lines/1";

/// Renders the header line: schema, versions, profile, image, counts of findings and notes (reports/schema/scan-lines.json).
/// In a batch each header begins the findings of the next image.
std::string render_scan_header_line(const ScanDocument& document);
/// Renders one finding as a line; the object is that of scan.json.
std::string render_finding_line(const Finding& finding);
/// Writes the header and all findings, a line at a time.
void write_scan_jsonl(const ScanDocument& document, const Sink& sink);

}  // namespace trapline::reports
