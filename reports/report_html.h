// SPDX-License-Identifier: Apache-2.0
// The report of one image as a single HTML file that needs nothing else and works from file://.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "patch/abi_distance.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

/// What the report says beyond the documents; all of it is plain text and is escaped.
struct ReportExtras {
    std::string verdict_text;                                    ///< answers of the theorems; blank lines part paragraphs; may be empty
    std::vector<std::pair<std::string, std::string>> facts;      ///< further rows of the image facts: name, value
    const AbiDistance* distance = nullptr;                       ///< to a port to an interface; may be null
};

/// Renders image facts, verdict, the Popek-Goldberg sets as a picture, critical sites by mnemonic, how each would be
/// patched, functions, sections and evidence, decoder disagreements, every finding in a filterable table, and definitions.
/// `plan` may be null. Findings are embedded once as JSON; the page's script shows 100 rows at a time, so 10,000 stay fast.
/// Without scripts all but the two long tables is there. Every name from the image is escaped here or set as text there.
std::string render_report_html(const ScanDocument& scan, const PlanDocument* plan, const ReportExtras& extras);

}  // namespace trapline::reports
