// SPDX-License-Identifier: Apache-2.0
// .altinstructions: which code may be replaced at boot, by what, and for which CPU feature
// (arch/x86/include/asm/alternative.h of each version).
#include <array>
#include <fmt/format.h>

#include "image/kernel_tables.h"

namespace trapline::image {
namespace {

// All begin with {s32 instr_offset, s32 repl_offset}. The order breaks ties: the common ones first.
constexpr std::array kLayouts = {
    AlternativeLayout{12, "u16 feature, two lengths (5.13 to 6.2, and before 4.0)"},
    AlternativeLayout{14, "u32 feature and flags, two lengths (6.3 and later)"},
    AlternativeLayout{13, "u16 feature, two lengths, padding (4.0 to 5.12)"},
};

struct Alternative {
    Place original;
    std::optional<Place> replacement;
    std::uint8_t original_length = 0, replacement_length = 0;
    std::uint16_t feature = 0;
    bool inverted = false, direct_call = false;
};

bool fits(const ElfWork& work, const Place& place, std::uint64_t length) {
    const Section& section = work.image.sections[place.section];
    return work.is_code(place) && length <= section.bytes.size() - (place.address - section.address);
}

std::optional<Alternative> read_entry(const ElfWork& work, const TableFields& fields, SectionIndex section, std::uint64_t at,
                                      int entry_size) {
    const bool wide = entry_size == 14;
    const auto original = fields.relative_code(section, at);
    const auto feature = fields.data<std::uint16_t>(section, at + 8);
    const auto flags = fields.data<std::uint16_t>(section, at + 10);
    const auto original_length = fields.data<std::uint8_t>(section, at + (wide ? 12 : 10));
    const auto replacement_length = fields.data<std::uint8_t>(section, at + (wide ? 13 : 11));
    if (!original || !feature || !flags || !original_length || !replacement_length) return std::nullopt;
    // The build pads the original to the longest replacement.
    if (*original_length == 0 || *replacement_length > *original_length || !fits(work, *original, *original_length)) return std::nullopt;
    Alternative entry;
    entry.original = *original;
    entry.original_length = *original_length;
    entry.replacement_length = *replacement_length;
    if (wide) {
        entry.feature = *feature;
        entry.inverted = *flags & 1;      // ALT_FLAG_NOT
        entry.direct_call = *flags & 2;   // ALT_FLAG_DIRECT_CALL
        if (*flags & ~3u) return std::nullopt;
    } else {
        entry.feature = *feature & 0x7FFF;
        entry.inverted = *feature & 0x8000;  // ALTINSTR_FLAG_INV, 5.13 and later; feature numbers stay below 1024
    }
    if (entry.feature >= 64 * 32) return std::nullopt;
    if (*replacement_length != 0) {
        entry.replacement = fields.relative_code(section, at + 4);
        if (!entry.replacement || !fits(work, *entry.replacement, *replacement_length)) return std::nullopt;
    }
    return entry;
}

}  // namespace

std::optional<AlternativeLayout> detect_alternative_layout(const ElfWork& work, const TableFields& fields, const TableSpan& span) {
    for (const AlternativeLayout& layout : kLayouts) {
        const auto size = static_cast<std::uint64_t>(layout.entry_size);
        const std::uint64_t count = span.size / size;
        // Whole entries, but for the bytes that align what follows in a merged section.
        if (count == 0 || span.size % size >= 8) continue;
        std::uint64_t good = 0;
        for (std::uint64_t i = 0; i < count; ++i)
            good += read_entry(work, fields, span.section, span.offset + i * size, layout.entry_size).has_value();
        if (good * 100 >= count * 95) return layout;
    }
    return std::nullopt;
}

void load_alternatives(ElfWork& work, const TableFields& fields, const TableSpan& span) {
    const auto layout = detect_alternative_layout(work, fields, span);
    if (!layout) {
        work.image.notes.push_back(
            fmt::format(".altinstructions: {} bytes fit none of the known layouts (entries of 12, 13 or 14 bytes)", span.size));
        return;
    }
    const auto size = static_cast<std::uint64_t>(layout->entry_size);
    const std::uint64_t count = span.size / size;
    work.image.facts.push_back(fmt::format(".altinstructions: {} entries of {} bytes: {}", count, size, layout->title));
    std::uint64_t lost = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto entry = read_entry(work, fields, span.section, span.offset + i * size, layout->entry_size);
        if (!entry) {
            ++lost;
            continue;
        }
        const TableDetail detail{TableDetail::Kind::feature, entry->inverted, entry->direct_call, entry->feature};
        const auto add = [&](TableKind kind, const Place& code, std::uint64_t length, std::optional<Place> peer) {
            if (!add_table_entry(work, kind, code, length, peer, detail)) return false;
            TableEntry& added = work.image.tables.back();
            added.entry_section = span.section;
            added.entry_address = work.image.sections[span.section].address + span.offset + i * size;
            added.entry_size = static_cast<std::uint8_t>(size);
            return true;
        };
        if (!add(TableKind::alternative_original, entry->original, entry->original_length, entry->replacement)) return;
        if (entry->replacement && !add(TableKind::alternative_replacement, *entry->replacement, entry->replacement_length, entry->original)) return;
    }
    if (lost != 0) work.image.notes.push_back(fmt::format(".altinstructions: {} of {} entries do not make sense", lost, count));
}

}  // namespace trapline::image
