// SPDX-License-Identifier: Apache-2.0
// The verification of a patched image as JSON and as text: schema "trapline.verify/1" (reports/schema/verify.json).
#pragma once

#include <string>
#include <string_view>

#include "patch/proof/verify_report.h"

namespace trapline::reports {

inline constexpr std::string_view kVerifySchema = "trapline.verify/1";

/// Renders the document, one finding to a line. The same report gives the same bytes.
std::string render_verify_json(const VerifyReport& report);

/// Renders it for people: the counts, the findings by kind, and the whole report of the first failed proofs; of each kind
/// at most `most` findings, 0 for all.
std::string render_verify_text(const VerifyReport& report, std::size_t most);

}  // namespace trapline::reports
