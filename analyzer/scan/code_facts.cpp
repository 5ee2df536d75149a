// SPDX-License-Identifier: Apache-2.0
// Sorted lists and binary searches over what sweep, descent and the image's tables have found.
#include "scan/code_facts.h"

#include <algorithm>
#include <tuple>

#include "scan/code_targets.h"

namespace trapline::scan {

std::string_view to_string(TargetKind kind) {
    switch (kind) {
        case TargetKind::branch: return "branch";
        case TargetKind::returned: return "return";
        case TargetKind::symbol: return "symbol";
        case TargetKind::pointer: return "pointer";
        case TargetKind::reference: return "reference";
        case TargetKind::table: return "table";
    }
    return "?";
}

CodeFacts::CodeFacts(const image::Image& image, std::vector<SectionCode>&& sections, const decode::InstructionDecoder& decoder)
    : image_(&image), sections_(std::make_unique<const std::vector<SectionCode>>(std::move(sections))), places_(image, *sections_),
      targets_(find_targets(image, *sections_, places_, decoder)) {
    collect_protected();
}

void CodeFacts::collect_protected() {
    for (std::size_t i = 0; i < image_->tables.size(); ++i) {
        const image::TableEntry& entry = image_->tables[i];
        const auto begin = places_.find_in(entry.section, entry.code.begin);
        // A gate is a pointer: nobody reads the handler's bytes.
        if (!begin || entry.code.end <= entry.code.begin || entry.kind == image::TableKind::interrupt_gate) continue;
        const std::uint64_t size = (*sections_)[begin->section].bytes.size();
        ProtectedRange range{*begin, begin->offset + std::min(entry.code.size(), size - begin->offset), entry.kind, i};
        // A LOCK prefix or a call site may have prefixes in front of the byte that the table names.
        if (entry.code.size() == 1) {
            if (const auto insn = (*sections_)[begin->section].map.swept_at(begin->offset)) {
                range.begin.offset = insn->first;
                range.end = insn->second;
            }
        }
        protected_.push_back(range);
    }
    const auto key = [](const ProtectedRange& range) { return std::tuple(range.begin, range.end, range.kind, range.table_entry); };
    std::sort(protected_.begin(), protected_.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    // Hostile tables may say the same a million times.
    protected_.erase(std::unique(protected_.begin(), protected_.end(), [](const auto& a, const auto& b) {
        return a.begin == b.begin && a.end == b.end && a.kind == b.kind;
    }), protected_.end());
    protected_end_.reserve(protected_.size());
    for (const ProtectedRange& range : protected_) {
        const CodePlace end{range.begin.section, range.end};
        protected_end_.push_back(protected_end_.empty() ? end : std::max(protected_end_.back(), end));
    }
}

const CodeTarget* CodeFacts::find_target(CodePlace begin, std::uint64_t end) const {
    const auto found = std::partition_point(targets_.begin(), targets_.end(), [&](const CodeTarget& target) { return target.place < begin; });
    return found != targets_.end() && found->place < CodePlace{begin.section, end} ? &*found : nullptr;
}

std::vector<const ProtectedRange*> CodeFacts::find_protected(CodePlace begin, std::uint64_t end) const {
    std::vector<const ProtectedRange*> found;
    auto at = static_cast<std::size_t>(
        std::partition_point(protected_.begin(), protected_.end(),
                             [&](const ProtectedRange& range) { return range.begin < CodePlace{begin.section, end}; }) - protected_.begin());
    while (at > 0 && protected_end_[at - 1] > begin) {
        --at;
        if (protected_[at].begin.section == begin.section && protected_[at].end > begin.offset) found.push_back(&protected_[at]);
    }
    std::reverse(found.begin(), found.end());
    return found;
}

std::vector<image::RelocationSlot> CodeFacts::find_slots(CodePlace begin, std::uint64_t end) const {
    constexpr std::uint64_t kLongestSlot = 8;
    const SectionCode& code = (*sections_)[begin.section];
    const auto key = [](const image::RelocationSlot& slot) { return std::pair(slot.section, slot.address); };
    const std::pair from(code.index, code.address_of(begin.offset - std::min(begin.offset, kLongestSlot - 1)));
    std::vector<image::RelocationSlot> found;
    for (auto slot = std::partition_point(image_->slots.begin(), image_->slots.end(), [&](const auto& s) { return key(s) < from; });
         slot != image_->slots.end() && slot->section == code.index; ++slot) {
        const std::uint64_t at = slot->address - code.section->address;
        if (at >= end) break;
        if (at + slot->size > begin.offset) found.push_back(*slot);
    }
    return found;
}

std::optional<std::uint64_t> CodeFacts::find_previous(CodePlace place) const {
    if (place.offset == 0) return std::nullopt;
    const auto insn = (*sections_)[place.section].map.swept_at(place.offset - 1);
    if (!insn || insn->second != place.offset) return std::nullopt;
    return insn->first;
}

}  // namespace trapline::scan
