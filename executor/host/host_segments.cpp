// SPDX-License-Identifier: Apache-2.0
// Uses modify_ldt. A small table is quicker to change than a large one, so slots are used again: first the one that has been idle longest,
// since the one that was made first may be in another register at this moment.
#include "executor/host/host_segments.h"

#if defined(__linux__) && defined(__x86_64__)

#include <asm/ldt.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace trapline::executor {
namespace {

constexpr std::uint16_t kFlatCode = 0x23, kFlatData = 0x2B;  // the host's selectors for 32-bit programs
constexpr std::size_t kSlots = 48;
constexpr std::uint64_t kAll = std::uint64_t{1} << 32;

// Bits of Entry::kind.
constexpr std::uint16_t kCode = 1, kDown = 2, kReadOnly = 4, kBig = 8;

}  // namespace

namespace {

/// What reaches beyond `end` is cut there. A segment with a base may wrap below it (thread-local storage does, with negative
/// offsets), and one limit cannot say that: such segments stay whole.
bool is_cut(const Segment& segment, std::uint64_t end) {
    return !segment.is_expand_down() && end < kAll && segment.base == 0 && segment.limit >= end;
}

}  // namespace

std::uint16_t HostSegments::selector(const Segment& segment, std::uint64_t end) {
    return find(segment, is_cut(segment, end) ? static_cast<std::uint32_t>(end - 1) : segment.limit, false);
}

std::uint16_t HostSegments::whole_code_selector(const Segment& segment, std::uint64_t end) { return find(segment, segment.limit, is_cut(segment, end)); }

std::uint16_t HostSegments::find(const Segment& segment, std::uint32_t limit, bool hides_data) {
    if (!segment.present || segment.system) return 0;
    if (segment.base == 0 && limit == 0xFFFFFFFF && segment.big && !segment.is_expand_down() && !hides_data) {
        if (segment.is_code()) return kFlatCode;
        if (segment.is_writable()) return kFlatData;
    }
    std::uint16_t kind = segment.big ? kBig : 0;
    if (segment.is_code()) kind |= kCode;
    if (segment.is_expand_down()) kind |= kDown;
    if (hides_data || (segment.is_code() ? !segment.is_readable() : !segment.is_writable())) kind |= kReadOnly;
    return slot(static_cast<std::uint32_t>(segment.base), limit, kind);
}

std::uint16_t HostSegments::slot(std::uint32_t base, std::uint32_t limit, std::uint16_t kind) {
    ++uses_;
    const auto take = [&](std::size_t index) {
        entries_[index].last_use = uses_;
        return static_cast<std::uint16_t>(index * 8 + 7);
    };
    const auto matches = [&](std::size_t index) { return entries_[index].base == base && entries_[index].limit == limit && entries_[index].kind == kind; };
    std::size_t& guess = guesses_[(base >> 12 ^ base >> 4 ^ limit >> 12 ^ kind) % guesses_.size()];
    if (guess < entries_.size() && matches(guess)) return take(guess);
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (matches(i)) return take(guess = i);
    std::size_t index = entries_.size();
    if (index < kSlots) {
        entries_.emplace_back();
    } else {
        const auto idle = std::min_element(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
        index = static_cast<std::size_t>(idle - entries_.begin());
    }
    // Limits above 1 MiB count pages; those that are not whole pages are cut to whole ones.
    const bool pages = limit > 0xFFFFF;
    user_desc description{};
    description.entry_number = static_cast<unsigned>(index);
    description.base_addr = base;
    description.limit = pages ? ((limit & 0xFFF) == 0xFFF ? limit >> 12 : (limit >> 12) - 1) : limit;
    description.seg_32bit = (kind & kBig) != 0;
    description.contents = (kind & kCode) != 0 ? 2 : (kind & kDown) != 0 ? 1 : 0;
    description.read_exec_only = (kind & kReadOnly) != 0;
    description.limit_in_pages = pages;
    description.useable = 1;
    if (syscall(SYS_modify_ldt, 0x11, &description, sizeof description) != 0) {
        refused_ = true;
        entries_[index] = {};
        return 0;
    }
    entries_[index] = {base, limit, kind, uses_};
    // A register that has been loaded from this entry keeps what stood there: the next entry into the guest must load it again, and does so
    // where it finds another selector (native_entry.S).
    asm volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%gs" : : "r"(0));
    return static_cast<std::uint16_t>(index * 8 + 7);
}

}  // namespace trapline::executor

#endif
