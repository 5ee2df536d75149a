// SPDX-License-Identifier: Apache-2.0
// The findings as SARIF 2.1.0 (OASIS), for code-scanning services and editors.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "reports/sink.h"
#include "scan/finding.h"

namespace trapline::reports {

/// The three levels of results. `error`: critical. `warning`: conditional, and nothing says that the profile sets the bit.
/// `note`: the rest, which traps.
std::string_view sarif_level(const Finding& finding);

/// Writes one log with a run for each document. Rules are the forms met, by id. A result has the place in the file (byte
/// region), the address, the function, and a partial fingerprint that survives code moving: part, section, function,
/// form and the ordinal of that form in the function.
/// Addresses past 2^53 - 1 do not fit the integers that SARIF readers have: they stand as an offset from their section's
/// address object, and whole, in hex, in the result's properties.
void write_sarif(std::span<const ScanDocument> documents, const Sink& sink);
/// The log of one document as one string.
std::string render_sarif(const ScanDocument& document);

}  // namespace trapline::reports
