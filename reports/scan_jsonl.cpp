// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/scan-lines.json.
#include "reports/scan_jsonl.h"

#include "reports/finding_json.h"
#include "reports/json_document.h"
#include "reports/scan_members.h"

namespace trapline::reports {

std::string render_scan_header_line(const ScanDocument& document) {
    const Json header = {{"schema", kScanLinesSchema},
                         {"program_version", document.program_version},
                         {"database_version", document.database_version},
                         {"profile", document.profile},
                         {"overrides", document.overrides},
                         {"image", image_to_json(document)},
                         {"findings", document.findings.size()},
                         {"notes", document.notes}};
    return one_line(header) + "\n";
}

std::string render_finding_line(const Finding& finding) { return finding_json(finding) + "\n"; }

void write_scan_jsonl(const ScanDocument& document, const Sink& sink) {
    sink(render_scan_header_line(document));
    for (const Finding& finding : document.findings) sink(render_finding_line(finding));
}

}  // namespace trapline::reports
