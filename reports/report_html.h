// SPDX-License-Identifier: Apache-2.0
// The report of one image, of its plan and of its runs as a single HTML file that needs nothing else and works from file://.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "executor/host/run_statistics.h"
#include "patch/abi_distance.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

/// One run, under the name that tells it from others: its document's.
struct ReportRun {
    std::string name;
    const RunStatistics* statistics = nullptr;
};

/// What a report is made of: any of them, of one image. That they are of one image is the caller's to check.
struct ReportDocuments {
    const ScanDocument* scan = nullptr;  ///< may be null
    const PlanDocument* plan = nullptr;  ///< may be null
    std::vector<ReportRun> runs;
};

/// What the report says beyond the documents; all of it is plain text and is escaped.
struct ReportExtras {
    std::string verdict_text;                                    ///< answers of the theorems; blank lines part paragraphs; may be empty
    std::vector<std::pair<std::string, std::string>> facts;      ///< further rows of the image facts: name, value
    const AbiDistance* distance = nullptr;                       ///< to a port to an interface; may be null
};

/// Renders what the documents hold. Of a scan: image facts, verdict, the Popek-Goldberg sets as a picture, critical sites by
/// mnemonic, functions, sections and evidence, decoder disagreements, every finding in a filterable table. Of a plan: how each
/// site would be patched. Of a run: what it was, where its time went, the ways by which instructions came to the monitor, the
/// hottest sites, events, memory management; beside a plan, what more would be worth a patch. And definitions.
/// Rows are embedded once as JSON; the page's script shows 100 at a time, so 10,000 stay fast. Without scripts all but the
/// long tables is there. Every name from the documents is escaped here or set as text there.
std::string render_report_html(const ReportDocuments& documents, const ReportExtras& extras);

}  // namespace trapline::reports
