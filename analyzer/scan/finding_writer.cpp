// SPDX-License-Identifier: Apache-2.0
// One finding from one place.
#include "scan/finding_writer.h"

#include <fmt/format.h>

namespace trapline::scan {

std::optional<Finding> FindingWriter::write(const SectionCode& code, std::uint64_t offset, Evidence evidence,
                                            decode::Reconciler& decoder) const {
    const VirtAddr address = code.address_of(offset);
    const decode::Decoded decoded = decoder.decode(code.window(offset), code.mode, address);
    if (!decoded.valid || decoded.record == nullptr || decoded.length <= 0) return std::nullopt;
    const classify::Tags& tags = tags_->at(*decoded.record, code.mode);

    Finding finding;
    finding.address = address.value;
    finding.file_offset = (code.section->file_offset + offset).value;
    finding.section = code.section->name;
    // Replacement code has no function of its own: it runs where the kernel copies it to.
    const TableContext::Place runs_at = tables_->runs_at(code.index, address);
    if (const image::Symbol* symbol = image_->find_symbol(runs_at.section, runs_at.address)) {
        finding.symbol = symbol->name;
        finding.symbol_offset = runs_at.address - symbol->address;
    }
    finding.mode = fmt::format("{}", width_bits(code.mode));
    finding.decode_mode = to_string(code.mode);
    const Bytes insn = code.bytes.subspan(offset, static_cast<std::size_t>(decoded.length));
    finding.bytes.assign(insn.begin(), insn.end());
    finding.text = decoded.text;
    finding.mnemonic = decoded.record->mnemonic;
    finding.form = decoded.record->id;
    finding.family = decoded.record->family;
    finding.privileged = tags.privileged_text();
    finding.control_sensitive = tags.control_sensitive;
    finding.behavior_sensitive = classify::to_string(tags.behavior);
    finding.critical = tags.critical();
    finding.evidence = evidence;
    finding.context = tables_->at(code.index, address, address + static_cast<std::uint64_t>(decoded.length));
    for (const decode::Disagreement& other : decoded.disagreements)
        finding.disagreements.push_back({other.decoder, other.says, other.reason});
    return finding;
}

std::vector<std::string> FindingWriter::add_source_lines(std::vector<Finding>& findings, std::span<const image::SourcePlace> places) const {
    TRAPLINE_ASSERT(findings.size() == places.size(), "each finding stands at one place");
    std::vector<image::SourcePlace> asked(places.begin(), places.end());
    std::vector<std::size_t> original(findings.size());  // index in `asked` of the place it runs at
    for (std::size_t i = 0; i < findings.size(); ++i) {
        original[i] = i;
        const TableContext::Place runs_at = tables_->runs_at(places[i].section, places[i].address);
        if (runs_at.section == places[i].section && runs_at.address == places[i].address) continue;
        original[i] = asked.size();
        asked.push_back({runs_at.section, runs_at.address});
    }
    image::SourceLines found = image::find_source_lines(*image_, asked);
    for (std::size_t i = 0; i < findings.size(); ++i) {
        const image::SourceLine& line = found.lines[found.lines[i].file.empty() ? original[i] : i];
        findings[i].source_file = line.file;
        findings[i].source_line = line.line;
    }
    return std::move(found.notes);
}

}  // namespace trapline::scan
