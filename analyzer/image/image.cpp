// SPDX-License-Identifier: Apache-2.0
// Names of the enumerations and the look-ups of an opened image.
#include "image/image.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace trapline::image {

std::string_view to_string(Format format) {
    switch (format) {
        case Format::elf32: return "elf32";
        case Format::elf64: return "elf64";
        case Format::bzimage_setup: return "bzimage-setup";
        case Format::bzimage_stub: return "bzimage-stub";
        case Format::raw: return "raw";
    }
    return "?";
}

std::string_view to_string(TableKind kind) {
    switch (kind) {
        case TableKind::alternative_original: return "alternative-original";
        case TableKind::alternative_replacement: return "alternative-replacement";
        case TableKind::paravirt_site: return "paravirt-site";
        case TableKind::exception_table: return "exception-table";
        case TableKind::jump_label: return "jump-label";
        case TableKind::smp_lock: return "smp-lock";
        case TableKind::retpoline_site: return "retpoline-site";
        case TableKind::return_site: return "return-site";
        case TableKind::call_site: return "call-site";
        case TableKind::ibt_endbr: return "ibt-endbr";
        case TableKind::static_call: return "static-call";
        case TableKind::static_call_trampoline: return "static-call-trampoline";
        case TableKind::function_trace: return "function-trace";
        case TableKind::bug: return "bug";
        case TableKind::interrupt_gate: return "interrupt-gate";
    }
    return "?";
}

std::string to_text(const TableDetail& detail) {
    switch (detail.kind) {
        case TableDetail::Kind::none: return {};
        case TableDetail::Kind::feature:
            return fmt::format("{}feature {}*32+{}{}", detail.inverted ? "not " : "", detail.number / 32, detail.number % 32, detail.direct_call ? ", direct call" : "");
        case TableDetail::Kind::operation: return fmt::format("operation {}", detail.number);
    }
    return {};
}

void Image::index_sections() {
    by_address.resize(sections.size());
    std::iota(by_address.begin(), by_address.end(), SectionIndex{0});
    std::stable_sort(by_address.begin(), by_address.end(),
                     [&](SectionIndex a, SectionIndex b) { return sections[a].address < sections[b].address; });
}

std::optional<SectionIndex> Image::find_section(VirtAddr address) const {
    if (relocatable) return std::nullopt;
    const auto holds = [&](const Section& section) {
        return address >= section.address && address - section.address < section.bytes.size();
    };
    if (by_address.size() != sections.size()) {
        const auto hit = std::find_if(sections.begin(), sections.end(), holds);
        if (hit == sections.end()) return std::nullopt;
        return static_cast<SectionIndex>(hit - sections.begin());
    }
    // Sections of one image do not overlap (the ELF reader refuses that), so only the last one at or before can hold it.
    const auto after = std::upper_bound(by_address.begin(), by_address.end(), address,
                                        [&](VirtAddr wanted, SectionIndex i) { return wanted < sections[i].address; });
    if (after == by_address.begin()) return std::nullopt;
    const SectionIndex candidate = *(after - 1);
    if (!holds(sections[candidate])) return std::nullopt;
    return candidate;
}

const Symbol* Image::find_symbol(SectionIndex section, VirtAddr address) const {
    const auto after = std::upper_bound(symbols.begin(), symbols.end(), std::pair(section, address),
                                        [](const auto& wanted, const Symbol& symbol) {
                                            return wanted < std::pair(symbol.section, symbol.address);
                                        });
    if (after == symbols.begin()) return nullptr;
    const Symbol& found = *(after - 1);
    return found.section == section ? &found : nullptr;
}

}  // namespace trapline::image
