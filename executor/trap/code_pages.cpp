// SPDX-License-Identifier: Apache-2.0
#include "executor/trap/code_pages.h"

#include <algorithm>
#include <cstring>

#include "executor/cpu/vcpu.h"
#include "executor/trap/user_calls.h"

namespace trapline::executor {
namespace {

constexpr std::uint8_t kInt3 = 0xCC;
constexpr std::size_t kLongest = 15;       // bytes of an instruction
constexpr std::size_t kRunIn = 64;         // bytes before the page from which decoding is tried

/// Whether an instruction begins where a window ends; or the last one in it, filler behind a return or a jump, reaches over the end.
bool ends_in_step(const FoundCode& found, std::size_t begin, std::size_t end) {
    if (end >= kPageBytes || found.starts[end] || end == begin) return true;
    std::size_t last = end - 1, before = begin;
    while (last > begin && !found.starts[last]) --last;
    for (std::size_t at = begin; at < last; at = found.starts._Find_next(at)) before = at;
    return last > begin && found.ends[before];
}

}  // namespace

CodePages::CodePages(const decode::InstructionDecoder& decoder, const SiteForms& forms, const SharedPages& ram, const SharedPages& copies, bool all_sites)
    : decoder_(&decoder), forms_(&forms), ram_(&ram), copies_(&copies), all_sites_(all_sites), pages_(ram.pages()) {}

void CodePages::forget(std::uint32_t frame) {
    if (pages_[frame] == nullptr) return;
    ++changes_;
    pages_[frame].reset();
    fpu_frames_.erase(frame);
}

bool CodePages::count_read(std::uint32_t frame) {
    // A read by a signal costs as much as thousands of others. Old linkers put constants beside code, and a program that computes with them
    // must get on; a kernel that looks at its own instructions does not look this often.
    constexpr std::uint32_t kMostReads = 20'000;
    CodePage& page = *pages_[frame];
    page.is_shown = ++page.reads > kMostReads;
    return page.is_shown;
}

void CodePages::set_fpu_breakpoints(CodePage& page) {
    std::uint8_t* const copy = copies_->page(page.frame);
    const std::uint8_t* const original = ram_->page(page.frame);
    for (const FpuSite& site : page.fpu_sites) {
        const bool stops = traps(site.trap);
        page.sites.set(site.offset, stops);
        page.breakpoints.set(site.offset, stops);
        copy[site.offset] = stops ? kInt3 : original[site.offset];
    }
}

std::vector<std::uint32_t> CodePages::set_cr0(std::uint64_t cr0) {
    std::vector<std::uint32_t> stale;
    const bool ts = (cr0 & cr0::ts) != 0, ts_or_em = ts || (cr0 & cr0::em) != 0, ts_and_mp = ts && (cr0 & cr0::mp) != 0;
    if (ts_or_em == ts_or_em_ && ts_and_mp == ts_and_mp_) return stale;
    ts_or_em_ = ts_or_em;
    ts_and_mp_ = ts_and_mp;
    for (const std::uint32_t frame : fpu_frames_) {
        CodePage& page = *pages_[frame];
        if (page.has_fpu_in_patches) stale.push_back(frame);
        else set_fpu_breakpoints(page);
    }
    return stale;
}

void CodePages::forget_all() {
    for (std::uint32_t frame = 0; frame < pages_.size(); ++frame) forget(frame);
}

const CodePage& CodePages::prepare(std::uint32_t frame, std::uint32_t linear_page, std::uint32_t entry, const CodeNeighbours& neighbours,
                                   std::span<const CodeOverlay* const> overlays) {
    forget(frame);
    auto page = std::make_unique<CodePage>();
    ++scans_;
    if (!neighbours.user) restore_copied(frame);
    page->frame = frame;
    page->linear_page = linear_page;
    std::uint8_t* const copy = copies_->page(frame);
    const std::uint8_t* const original = ram_->page(frame);
    std::memcpy(copy, original, kPageBytes);

    std::array<std::uint8_t, kRunIn + kPageBytes + kLongest> code;
    const std::size_t before = std::min(neighbours.before.size(), kRunIn), after = std::min(neighbours.after.size(), kLongest);
    std::copy(neighbours.before.end() - static_cast<std::ptrdiff_t>(before), neighbours.before.end(), code.begin());
    std::memcpy(code.data() + before, original, kPageBytes);
    std::copy_n(neighbours.after.begin(), after, code.begin() + static_cast<std::ptrdiff_t>(before + kPageBytes));
    PageOfCode around{.bytes = std::span(code.data(), before + kPageBytes + after), .begin = before, .trust = neighbours.user ? CodeTrust::user : CodeTrust::kernel};
    const std::uint64_t address = std::uint64_t{linear_page} * kPageBytes;
    for (const AddressRange& range : text_) {
        if (range.begin.value >= address + kPageBytes || range.end.value <= address) continue;
        around.trust = CodeTrust::text;
        around.text_begin = range.begin.value < address ? 0 : before + (range.begin.value - address);
        around.text_end = before + std::min<std::uint64_t>(range.end.value - address, kPageBytes);
        break;
    }
    const FoundCode found = find_instructions(*decoder_, around, entry);
    page->starts = found.starts;
    for (std::size_t at = found.starts._Find_first(); at < kPageBytes; at = found.starts._Find_next(at)) {
        const SiteKind kind = forms_->kind(found.forms[at]);
        if (kind == SiteKind::none) {
            const FpuTrap trap = forms_->fpu_trap(found.forms[at]);
            if (trap != FpuTrap::never) page->fpu_sites.push_back({static_cast<std::uint16_t>(at), trap});
            continue;
        }
        page->sites.set(at);
        // Compilers pad with INT3: nothing to stay for.
        if (original[at] != kInt3) page->sensitive.set(at);
        if (kind == SiteKind::privileged && !all_sites_) continue;
        page->breakpoints.set(at);
        copy[at] = kInt3;
    }
    if (neighbours.user && user_gate_ != 0 && !all_sites_) put_user_calls(*page, found);
    for (const CodeOverlay* overlay : overlays) {
        // A plan that took data for code, or met it out of step, must not be believed: the window's ends are instructions here too.
        if (!page->starts[overlay->window_begin] || !ends_in_step(found, overlay->window_begin, overlay->window_end) || (overlay->evicted_end != 0 && !page->starts[overlay->evicted_begin])) continue;
        // What a patch moves to its stub runs there as it is: not while it ought to trap.
        const auto replaced = [&](const FpuSite& site) {
            return (site.offset >= overlay->window_begin && site.offset < overlay->window_end) || (site.offset >= overlay->evicted_begin && site.offset < overlay->evicted_end);
        };
        if (std::any_of(page->fpu_sites.begin(), page->fpu_sites.end(), replaced)) {
            page->has_fpu_in_patches = true;
            if (ts_or_em_) continue;
            page->fpu_sites.erase(std::remove_if(page->fpu_sites.begin(), page->fpu_sites.end(), replaced), page->fpu_sites.end());
        }
        page->has_overlays = true;
        const std::size_t size = overlay->bytes.size();
        for (std::size_t at = overlay->offset; at < overlay->offset + size; ++at) {
            page->breakpoints.reset(at);
            page->sites.reset(at);
            if (at != overlay->offset) page->inside.set(at);
        }
        for (std::size_t at = overlay->window_begin; at < overlay->window_end; ++at) {
            page->sites.reset(at);
            if (at != overlay->window_begin) page->inside.set(at);
        }
        std::memcpy(copy + overlay->offset, overlay->bytes.data(), size);
        page->breakpoints.set(overlay->offset, overlay->breakpoint);
        page->sites.set(overlay->offset, overlay->breakpoint);
    }
    set_fpu_breakpoints(*page);
    if (page->has_fpu_in_patches || !page->fpu_sites.empty()) fpu_frames_.insert(frame);
    if (!neighbours.user) copied_.note(frame, std::span<const std::uint8_t, kPageBytes>(copy, kPageBytes), std::span<const std::uint8_t, kPageBytes>(original, kPageBytes));
    pages_[frame] = std::move(page);
    ++changes_;
    return *pages_[frame];
}

DecodedPage& CodePages::decoded(const CodePage& page) {
    constexpr std::size_t kMostDecoded = 4096;  // some 10 KiB each; a guest that has more starts over
    CodePage& own = *pages_[page.frame];
    if (own.decoded != nullptr) return *own.decoded;
    if (decoded_frames_.size() >= kMostDecoded) {
        for (const std::uint32_t frame : decoded_frames_)
            if (pages_[frame] != nullptr) pages_[frame]->decoded.reset();
        decoded_frames_.clear();
        ++changes_;
    }
    decoded_frames_.push_back(page.frame);
    own.decoded = std::make_unique<DecodedPage>();
    return *own.decoded;
}

void CodePages::put_user_calls(CodePage& page, const FoundCode& found) {
    constexpr std::uint8_t kFarCall = 0x9A, kWideCode = 0x33;
    std::uint8_t* const copy = copies_->page(page.frame);
    for (const std::uint16_t begin : find_call_windows(found, std::span(ram_->page(page.frame), kPageBytes))) {
        copy[begin] = kFarCall;
        std::memcpy(copy + begin + 1, &user_gate_, sizeof user_gate_);
        copy[begin + 5] = kWideCode;
        copy[begin + 6] = 0;
        for (std::size_t at = begin; at < begin + kFarCallBytes; ++at) {
            page.breakpoints.reset(at);
            page.sites.reset(at);
            if (at != begin) page.inside.set(at);
        }
    }
}

}  // namespace trapline::executor
