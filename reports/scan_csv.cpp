// SPDX-License-Identifier: Apache-2.0
// One row at a time.
#include "reports/scan_csv.h"

#include <fmt/format.h>

#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

std::string context_text(const Finding& finding) {
    std::string text;
    for (const FindingContext& context : finding.context) {
        if (!text.empty()) text += "; ";
        text += context.kind;
        if (!context.detail.empty()) text += " " + context.detail;
    }
    return text;
}

std::string_view yes_or_no(bool value) { return value ? "yes" : "no"; }

}  // namespace

void write_scan_csv(const ScanDocument& document, const Sink& sink, bool with_heading) {
    if (with_heading)
        sink("address,file_offset,section,symbol,symbol_offset,file,line,mode,bytes,text,mnemonic,form,privileged,"
             "control_sensitive,behavior_sensitive,critical,evidence,context,part,image\n");
    const std::string image = csv_field(document.image);
    for (const Finding& finding : document.findings) {
        sink(fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", hex_address(finding.address), finding.file_offset,
                         csv_field(finding.section), csv_field(finding.symbol), finding.symbol_offset, csv_field(finding.source_file),
                         finding.source_file.empty() ? std::string() : std::to_string(finding.source_line), csv_field(finding.mode),
                         to_hex(finding.bytes), csv_field(finding.text), csv_field(finding.mnemonic), csv_field(finding.form),
                         csv_field(finding.privileged), yes_or_no(finding.control_sensitive), csv_field(finding.behavior_sensitive),
                         yes_or_no(finding.critical), to_string(finding.evidence), csv_field(context_text(finding)), csv_field(finding.part), image));
    }
}

}  // namespace trapline::reports
