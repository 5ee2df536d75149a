// SPDX-License-Identifier: Apache-2.0
// Member by member: documents share names, not types.
#include "patch/planned_site.h"

#include <fmt/format.h>

namespace trapline::patch {

PlannedSite planned_site(const Finding& finding, const isa::Database& database, const isa::Abi& abi) {
    PlannedSite site;
    site.address = finding.address;
    site.file_offset = finding.file_offset;
    site.part = finding.part;
    site.section = finding.section;
    site.symbol = finding.symbol;
    site.symbol_offset = finding.symbol_offset;
    site.source_file = finding.source_file;
    site.source_line = finding.source_line;
    site.mode = finding.decode_mode;
    site.text = finding.text;
    site.mnemonic = finding.mnemonic;
    site.form = finding.form;
    site.bytes = finding.bytes;
    site.critical = finding.critical;
    site.privileged = finding.privileged;
    site.evidence = finding.evidence;
    if (const isa::Record* record = database.find_record(finding.form)) {
        site.operation = record->virtualization.hypercall;
        if (const isa::AbiOperation* operation = abi.find_operation(site.operation, site.form)) site.call = operation->call();
    }
    return site;
}

std::string trap_reason(const PlannedSite& site) {
    if (site.privileged == "yes") return "It is privileged: it traps by itself, and the trap handler emulates it.";
    if (site.privileged.starts_with("cond:")) return fmt::format("It traps by itself where the VMM sets {}, and needs nothing otherwise.", site.privileged.substr(5));
    return "It traps by itself.";
}

}  // namespace trapline::patch
