// SPDX-License-Identifier: Apache-2.0
// One document for a kernel file that holds several programs: real-mode setup, decompressor stub and the kernel itself.
#include <algorithm>
#include <iterator>

#include "scan/finding.h"

namespace trapline {

namespace {

// "a.deb!boot/vmlinuz!stub" names its part last.
std::string part_of(const std::string& image) {
    const std::size_t mark = image.rfind('!');
    return mark == std::string::npos ? std::string() : image.substr(mark + 1);
}

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

ScanDocument merge_parts(std::string image, std::vector<ScanDocument> parts) {
    if (parts.empty()) return {};
    // The findings are nearly all of a document: they are not copied along.
    std::vector<Finding> last = std::move(parts.back().findings);
    ScanDocument merged = parts.back();
    parts.back().findings = std::move(last);
    merged.image = std::move(image);
    merged.format = "bzimage";
    merged.sections.clear();
    merged.findings.clear();
    merged.notes.clear();
    merged.all_mnemonics.clear();
    merged.overrides = 0;
    merged.seconds = 0;
    for (ScanDocument& scan : parts) {
        const std::string part = part_of(scan.image);
        for (SectionSummary& section : scan.sections) section.part = part;
        for (Finding& finding : scan.findings) finding.part = part;
        for (std::string& note : scan.notes) note = part + ": " + note;
        append(merged.sections, std::move(scan.sections));
        append(merged.findings, std::move(scan.findings));
        append(merged.notes, std::move(scan.notes));
        for (const auto& [mnemonic, count] : scan.all_mnemonics) merged.all_mnemonics[mnemonic] += count;
        merged.overrides += scan.overrides;
        merged.seconds += scan.seconds;
    }
    return merged;
}

}  // namespace trapline
