// SPDX-License-Identifier: Apache-2.0
#include "executor/mmu/virtual_tlb.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace trapline::executor {
namespace {

void* linear_address(std::uint32_t page) { return reinterpret_cast<void*>(std::uintptr_t{page} * kPageBytes); }

}  // namespace

Result<VirtualTlb> VirtualTlb::create(const SharedPages& ram, const SharedPages& code, std::uint32_t frames) {
    // Nothing of this process may lie below 4 GiB. Asking for the range (above what mmap_min_addr forbids) tells; the page behind
    // it stays unmapped too, since an access at the top may reach there.
    constexpr std::uint64_t kFirst = 0x10000, kEnd = (std::uint64_t{1} << 32) + kPageBytes;
    void* const range = mmap(reinterpret_cast<void*>(kFirst), kEnd - kFirst, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (range == MAP_FAILED)
        return fail(ErrorCode::host_limit, fmt::format("the guest's addresses 0 to 4 GiB are not free in this process: {}", std::strerror(errno)));
    munmap(range, kEnd - kPageBytes - kFirst);
    VirtualTlb tlb;
    tlb.ram_ = &ram;
    tlb.code_ = &code;
    tlb.entries_.resize(kPages);
    tlb.next_.resize(kPages);
    tlb.previous_.resize(kPages);
    tlb.first_.resize(frames);
    return tlb;
}

void VirtualTlb::set(std::uint32_t page, std::uint32_t entry) {
    clear(page);
    ++changes_;
    const std::uint32_t frame = entry >> kFrameShift;
    next_[page] = first_[frame];
    previous_[page] = 0;
    if (next_[page] != 0) previous_[next_[page] - 1] = page + 1;
    first_[frame] = page + 1;
    const bool global = (entry & kGlobal) != 0;
    Listed& list = global ? global_ : local_;
    const std::uint32_t mark = global ? kListedGlobal : kListedLocal;
    if ((entries_[page] & mark) == 0) list.pages.push_back(page);
    entries_[page] = entry | (entries_[page] & kListed) | mark;
    list.first_page = std::min(list.first_page, page);
    if ((entry & kUser) == 0) list.first_supervisor = std::min(list.first_supervisor, page);
}

void VirtualTlb::clear(std::uint32_t page) {
    const std::uint32_t entry = entries_[page];
    if ((entry & kPresent) == 0) return;
    ++changes_;
    const std::uint32_t before = previous_[page], behind = next_[page];
    (before != 0 ? next_[before - 1] : first_[entry >> kFrameShift]) = behind;
    if (behind != 0) previous_[behind - 1] = before;
    entries_[page] = entry & kListed;
}

bool VirtualTlb::map(std::uint32_t page, std::uint32_t count, MappedPage to) {
    const bool copied = to.executable && !to.writable;
    const SharedPages& file = copied ? *code_ : *ram_;
    const int access = (to.hidden ? 0 : PROT_READ) | (to.executable ? PROT_EXEC : 0) | (to.writable ? PROT_WRITE : 0);
    const std::uint64_t offset = std::uint64_t{to.frame} * kPageBytes;
    ++counts_.maps;
    const auto done = [&] {
        return mmap(linear_address(page), std::size_t{count} * kPageBytes, access, MAP_SHARED | MAP_FIXED, file.descriptor(), static_cast<off_t>(offset)) != MAP_FAILED;
    };
    if (!done()) {
        // Full, as a processor's own gets full: what else was there is looked up again when it is used.
        drop_all();
        if (!done()) return false;
    }
    const std::uint32_t flags = kPresent | (to.executable ? kExecutable : 0) | (to.writable ? kWritable : 0) | (to.user ? kUser : 0) | (to.global ? kGlobal : 0) | (to.hidden ? kHidden : 0);
    for (std::uint32_t i = 0; i < count; ++i) set(page + i, (to.frame + i) << kFrameShift | flags);
    return true;
}

void VirtualTlb::write_protect_frame(std::uint32_t frame) {
    for (std::uint32_t link = first_[frame]; link != 0; link = next_[link - 1]) {
        const std::uint32_t page = link - 1;
        if ((entries_[page] & kWritable) == 0) continue;
        ++counts_.protects;
        // This and unmapping may split a mapping of the host's in two, so they fail when it is full.
        if (mprotect(linear_address(page), kPageBytes, PROT_READ) != 0) return drop_all();
        entries_[page] &= ~kWritable;
    }
}

void VirtualTlb::drop_executable(std::uint32_t frame) {
    for (std::uint32_t link = first_[frame]; link != 0;) {
        const std::uint32_t page = link - 1;
        link = next_[page];
        if ((entries_[page] & kExecutable) != 0) unmap(page);
    }
}

void VirtualTlb::unmap(std::uint32_t page) {
    if ((entries_[page] & kPresent) == 0) return;
    clear(page);
    unmap_run(page, page + 1);
}

void VirtualTlb::unmap_run(std::uint32_t page, std::uint32_t end) {
    ++counts_.unmaps;
    if (munmap(linear_address(page), std::size_t{end - page} * kPageBytes) != 0) drop_all();
}

/// Whole mappings only: this always works.
void VirtualTlb::drop_all() {
    ++counts_.flushes;
    ++counts_.overflows;
    for (Listed* const listed : {&local_, &global_}) {
        for (const std::uint32_t page : listed->pages) {
            clear(page);
            entries_[page] = 0;
        }
        *listed = {};
    }
    munmap(linear_address(0), std::size_t{reserved_end_ == 0 ? kPages : reserved_begin_} * kPageBytes);
    if (reserved_end_ != 0) munmap(linear_address(reserved_end_), std::size_t{kPages - reserved_end_} * kPageBytes);
}

std::uint32_t VirtualTlb::count_mappings() const {
    constexpr std::uint32_t kHow = kPresent | kWritable | kExecutable | kHidden;
    std::uint32_t count = 0, before = 0;
    for (const std::uint32_t entry : entries_) {
        const bool continues = (before & kPresent) != 0 && ((entry ^ before) & kHow) == 0 && entry >> kFrameShift == (before >> kFrameShift) + 1;
        if ((entry & kPresent) != 0 && !continues) ++count;
        before = entry;
    }
    return count;
}

void VirtualTlb::reserve(std::uint32_t page, std::uint32_t count) {
    reserved_begin_ = page;
    reserved_end_ = page + count;
}

/// Whether a run of unmapping may not pass over [page, end): something is mapped there, or may be.
bool VirtualTlb::anything_between(std::uint32_t page, std::uint32_t end) const {
    constexpr std::uint32_t kLookAt = 4096;
    if (page < reserved_end_ && end > reserved_begin_) return true;
    if (end - page > kLookAt) return end > global_.first_page || end > local_.first_page;
    for (; page < end; ++page)
        if ((entries_[page] & kPresent) != 0) return true;
    return false;
}

/// Unmaps the listed pages that meet the condition, in runs; what is not mapped between them does not end a run. The kernel
/// lies mostly above what goes, so nearly always this is one call to the host.
template <class Condition>
void VirtualTlb::flush_where(Listed& listed, Condition condition) {
    ++counts_.flushes;
    const bool global = &listed == &global_;
    const std::uint32_t mark = global ? kListedGlobal : kListedLocal;
    std::vector<std::uint32_t> gone;
    std::size_t kept = 0;
    listed.first_page = listed.first_supervisor = kPages;
    for (const std::uint32_t page : listed.pages) {
        const std::uint32_t entry = entries_[page];
        const bool belongs = (entry & kPresent) != 0 && ((entry & kGlobal) != 0) == global;
        if (!belongs || condition(page, entry)) {
            if (belongs) {
                clear(page);
                gone.push_back(page);
            }
            entries_[page] &= ~mark;
            continue;
        }
        listed.pages[kept++] = page;
        listed.first_page = std::min(listed.first_page, page);
        if ((entry & kUser) == 0) listed.first_supervisor = std::min(listed.first_supervisor, page);
    }
    listed.pages.resize(kept);
    if (gone.empty()) return;
    std::sort(gone.begin(), gone.end());
    std::uint32_t begin = gone.front(), last = begin;
    for (const std::uint32_t page : gone) {
        if (page > last + 1 && anything_between(last + 1, page)) {
            unmap_run(begin, last + 1);
            begin = page;
        }
        last = page;
    }
    unmap_run(begin, last + 1);
}

void VirtualTlb::flush_local(const std::function<bool(std::uint32_t page, const MappedPage&)>& stays) {
    flush_where(local_, [&](std::uint32_t page, std::uint32_t entry) { return !stays(page, unpack(entry)); });
}

void VirtualTlb::flush_local() {
    flush_where(local_, [](std::uint32_t, std::uint32_t) { return true; });
}

void VirtualTlb::flush_all() {
    flush_local();
    flush_where(global_, [](std::uint32_t, std::uint32_t) { return true; });
}

void VirtualTlb::flush_supervisor_below(std::uint32_t end) {
    const auto condition = [end](std::uint32_t page, std::uint32_t entry) { return page < end && (entry & kUser) == 0; };
    flush_where(local_, condition);
    flush_where(global_, condition);
}

}  // namespace trapline::executor
