// SPDX-License-Identifier: Apache-2.0
// Pairs replacements with originals, and turns peers into edges.
#include "scan/table_edges.h"

#include <algorithm>
#include <tuple>

namespace trapline::scan {
namespace {

/// The alternatives' originals by place.
class Originals {
public:
    explicit Originals(const image::Image& image) {
        for (const image::TableEntry& entry : image.tables)
            if (entry.kind == image::TableKind::alternative_original) by_place_.push_back(&entry);
        // Nested alternatives share their start; the longest comes first, since control goes on behind all of it.
        std::sort(by_place_.begin(), by_place_.end(), [](const auto* a, const auto* b) {
            return std::tuple(a->section, a->code.begin, b->code.end) < std::tuple(b->section, b->code.begin, a->code.end);
        });
    }

    const image::TableEntry* find(image::SectionIndex section, VirtAddr address) const {
        const auto found = std::partition_point(by_place_.begin(), by_place_.end(), [&](const auto* entry) {
            return std::tie(entry->section, entry->code.begin) < std::tie(section, address);
        });
        if (found == by_place_.end() || (*found)->section != section || (*found)->code.begin != address) return nullptr;
        return *found;
    }

private:
    std::vector<const image::TableEntry*> by_place_;
};

/// Length of the jump at a jump label, 0 when a NOP is there: JMP rel8 or rel32.
std::uint64_t jump_length(const SectionCode& code, std::uint64_t offset) {
    switch (code.bytes[offset]) {
        case 0xEB: return 2;
        case 0xE9: return 5;
        default: return 0;
    }
}

}  // namespace

TableEdges::TableEdges(const image::Image& image, const CodePlaces& places, const std::vector<SectionCode>& sections) {
    const Originals originals(image);
    for (const image::TableEntry& entry : image.tables) {
        if (entry.kind == image::TableKind::alternative_original && !entry.peer) {
            // An empty replacement leaves NOPs: ALTERNATIVE "jmp .Lend", "", FEATURE guards the code behind it.
            add_edge(places.find_in(entry.section, entry.code.begin), places.find_in(entry.section, entry.code.end));
        }
        if (!entry.peer) continue;
        if (entry.kind == image::TableKind::alternative_replacement) {
            if (const image::TableEntry* original = originals.find(entry.peer_section, *entry.peer))
                add_replacement(entry, *original, places, sections);
        } else if (entry.kind == image::TableKind::exception_table || entry.kind == image::TableKind::jump_label) {
            const auto from = places.find_in(entry.section, entry.code.begin);
            add_edge(from, places.find_in(entry.peer_section, *entry.peer));
            // A label may stand in the file as a jump or as a NOP, and either may become the other.
            if (from && entry.kind == image::TableKind::jump_label)
                add_edge(from, places.find_in(entry.section, entry.code.begin + jump_length(sections[from->section], from->offset)));
        }
    }
    std::sort(edges_.begin(), edges_.end());
    edges_.erase(std::unique(edges_.begin(), edges_.end()), edges_.end());
    std::sort(replacements_.begin(), replacements_.end(), [](const Replacement& a, const Replacement& b) {
        return std::tie(a.begin, a.end, a.resume) < std::tie(b.begin, b.end, b.resume);
    });
}

void TableEdges::mark(std::vector<SectionCode>& sections) const {
    for (const auto& [from, to] : edges_) sections[from.section].map.set_landmark(from.offset);
}

void TableEdges::add_edge(std::optional<CodePlace> from, std::optional<CodePlace> to) {
    if (from && to && *from != *to) edges_.emplace_back(*from, *to);
}

void TableEdges::add_replacement(const image::TableEntry& entry, const image::TableEntry& original,
                                 const CodePlaces& places, const std::vector<SectionCode>& sections) {
    const auto body = places.find_in(entry.section, entry.code.begin);
    const auto site = places.find_in(original.section, original.code.begin);
    if (!body || !site || entry.code.end <= entry.code.begin) return;
    edges_.emplace_back(*site, *body);
    const std::uint64_t size = sections[body->section].bytes.size();
    const std::uint64_t end = body->offset + std::min(entry.code.size(), size - body->offset);
    if (const auto resume = places.find_in(original.section, original.code.end))
        replacements_.push_back({*body, end, *resume});
}

std::span<const std::pair<CodePlace, CodePlace>> TableEdges::from(CodePlace place) const {
    const auto begin = std::partition_point(edges_.begin(), edges_.end(), [&](const auto& edge) { return edge.first < place; });
    const auto end = std::partition_point(begin, edges_.end(), [&](const auto& edge) { return edge.first == place; });
    return {begin, end};
}

std::optional<CodePlace> TableEdges::after_replacement(CodePlace place, std::uint64_t next) const {
    // Replacements have a section of their own; asked for every instruction, so all others answer at once.
    if (!has_replacements(place.section)) return std::nullopt;
    auto after = std::partition_point(replacements_.begin(), replacements_.end(),
                                      [&](const Replacement& body) { return body.begin <= place; });
    if (after == replacements_.begin()) return std::nullopt;
    const Replacement& body = *std::prev(after);
    if (body.begin.section != place.section || next != body.end) return std::nullopt;
    return body.resume;
}

}  // namespace trapline::scan
