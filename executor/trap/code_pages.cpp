// SPDX-License-Identifier: Apache-2.0
// A page holds code, and sometimes data between it. An instruction is known to begin where execution enters; from there the
// decoder goes on to the end of the page. What lies before is decoded from wherever a run of instructions meets the entry.
#include "executor/trap/code_pages.h"

#include <algorithm>
#include <cstring>

namespace trapline::executor {
namespace {

constexpr std::uint8_t kInt3 = 0xCC;
constexpr std::size_t kLongest = 15;       // bytes of an instruction
constexpr std::size_t kRunIn = 64;         // bytes before the page from which decoding is tried

}  // namespace

CodePages::CodePages(const decode::InstructionDecoder& decoder, const SiteForms& forms, const SharedPages& ram, const SharedPages& copies, bool all_sites)
    : decoder_(&decoder), forms_(&forms), ram_(&ram), copies_(&copies), all_sites_(all_sites), pages_(ram.pages()) {}

void CodePages::forget(std::uint32_t frame) {
    if (pages_[frame] == nullptr) return;
    free_copies_.push_back(pages_[frame]->copy);
    pages_[frame].reset();
}

const CodePage* CodePages::prepare(std::uint32_t frame, std::uint32_t linear_page, std::uint32_t entry, const CodeNeighbours& neighbours,
                                   std::span<const CodeOverlay* const> overlays) {
    forget(frame);
    auto page = std::make_unique<CodePage>();
    if (!free_copies_.empty()) {
        page->copy = free_copies_.back();
        free_copies_.pop_back();
    } else if (used_copies_ < copies_->pages()) {
        page->copy = used_copies_++;
    } else {
        return nullptr;
    }
    ++scans_;
    page->frame = frame;
    page->linear_page = linear_page;
    std::uint8_t* const copy = copies_->page(page->copy);
    const std::uint8_t* const original = ram_->page(frame);
    std::memcpy(copy, original, kPageBytes);

    std::array<std::uint8_t, kRunIn + kPageBytes + kLongest> code;
    const std::size_t before = std::min(neighbours.before.size(), kRunIn), after = std::min(neighbours.after.size(), kLongest);
    std::memcpy(code.data(), neighbours.before.data() + neighbours.before.size() - before, before);
    std::memcpy(code.data() + before, original, kPageBytes);
    std::memcpy(code.data() + before + kPageBytes, neighbours.after.data(), after);
    find_starts(*page, std::span(code.data(), before + kPageBytes + after), before, entry);
    for (std::size_t at = 0; at < kPageBytes; ++at) {
        if (!page->starts[at]) continue;
        const decode::Insn insn = decoder_->decode(Bytes(code.data() + before + at, kPageBytes - at + after), Mode::protected32);
        const SiteKind kind = insn.length == 0 ? SiteKind::none : forms_->kind(insn.form);
        if (kind == SiteKind::none) continue;
        page->sites.set(at);
        if (kind == SiteKind::privileged && !all_sites_) continue;
        page->breakpoints.set(at);
        copy[at] = kInt3;
    }
    for (const CodeOverlay* overlay : overlays) {
        page->has_overlays = true;
        for (std::size_t i = 0; i < overlay->bytes.size(); ++i) page->breakpoints.reset(overlay->offset + i);
        std::memcpy(copy + overlay->offset, overlay->bytes.data(), overlay->bytes.size());
        page->breakpoints.set(overlay->offset, overlay->breakpoint);
        page->sites.set(overlay->offset);
    }
    pages_[frame] = std::move(page);
    return pages_[frame].get();
}

/// Marks where instructions begin. `code` is the page with what surrounds it; the page is at `page_begin`.
void CodePages::find_starts(CodePage& page, std::span<const std::uint8_t> code, std::size_t page_begin, std::uint32_t entry) const {
    const auto length_at = [&](std::size_t at) -> std::size_t {
        const std::size_t length = decoder_->decode(Bytes(code.data() + at, code.size() - at), Mode::protected32).length;
        return length == 0 ? 1 : length;  // bytes that are no instruction: look again at the next one
    };
    // Before the entry: the first of the possible beginnings whose instructions meet the entry. Decoding falls into step
    // within a few instructions wherever it begins, so nearly every one does; one that does not has met data.
    const std::size_t goal = page_begin + entry, tries = std::max(page_begin, kLongest);
    for (std::size_t first = 0; first < std::min(tries, goal); ++first) {
        std::bitset<kPageBytes> starts;
        std::size_t at = first;
        while (at < goal) {
            if (at >= page_begin) starts.set(at - page_begin);
            at += length_at(at);
        }
        if (at != goal) continue;
        page.starts = starts;
        break;
    }
    for (std::size_t at = goal; at < page_begin + kPageBytes; at += length_at(at)) page.starts.set(at - page_begin);
}

}  // namespace trapline::executor
