// SPDX-License-Identifier: Apache-2.0
// The scan document as JSON: schema "trapline.scan/1", described for users by reports/schema/scan.json.
#pragma once

#include <string>
#include <string_view>

#include "reports/sink.h"
#include "scan/finding.h"
#include "support/error.h"

namespace trapline::reports {

inline constexpr std::string_view kScanSchema = "trapline.scan/1";
inline constexpr std::string_view kErrorSchema = "trapline.error/1";

/// Writes the document, one finding to a line. Wall time is left out: the same image gives the same bytes. Names that are
/// not UTF-8 come out with U+FFFD where they break.
void write_scan_json(const ScanDocument& document, const Sink& sink);
/// The same as one string.
std::string render_scan_json(const ScanDocument& document);

/// Reads a document that write_scan_json wrote. `name` names the file in errors. Fails with the first fault, its JSON
/// pointer, what was found and what was expected: text that is not JSON, another schema or major version, unknown or
/// missing members, values out of range, totals that are not those of the findings (a file that was cut or edited).
Result<ScanDocument> parse_scan_json(std::string_view text, const std::string& name);

/// Renders the answer for an image that could not be opened, so that a batch has one document for each of its images:
/// schema "trapline.error/1", reports/schema/error.json. One line; also fit for JSON lines.
std::string render_error_json(std::string_view image, const Error& error);

}  // namespace trapline::reports
