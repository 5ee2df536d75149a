// SPDX-License-Identifier: Apache-2.0
// The processor's translation cache for a guest that runs in this process: which guest-linear pages are mapped, to what, and how.
// A page that is not mapped faults, and is looked up in the guest's own tables then; so the guest owes the same invalidations as to
// a real processor. Holds the host's mappings and its own record of them together.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "executor/cpu/memory.h"
#include "executor/mmu/guest_memory.h"

namespace trapline::executor {

/// What the guest may do on a page that is mapped.
struct MappedPage {
    std::uint32_t frame = 0;
    bool present = false, writable = false, executable = false;
    bool user = false;      ///< mapped for user code too
    bool global = false;    ///< survives a load of CR3
    bool hidden = false;    ///< executable pages: reading faults, where the host can have that (protection keys)
};

/// Counts for statistics.
struct MappingCounts {
    std::uint64_t maps = 0, unmaps = 0, protects = 0, flushes = 0;
    std::uint64_t overflows = 0;  ///< times that everything was unmapped because the host took no more mappings
};

class VirtualTlb {
public:
    static constexpr std::uint32_t kPages = 1u << 20;

    /// Takes the linear range 0 to 4 GiB of this process. `frames` pages of RAM exist. Fails with `host_limit` where something lies there.
    static Result<VirtualTlb> create(const SharedPages& ram, const SharedPages& code, std::uint32_t frames);
    VirtualTlb() = default;

    MappedPage find(std::uint32_t page) const { return unpack(entries_[page]); }
    /// As DirectPages::words; they stay where they are.
    const std::uint32_t* words() const { return entries_.data(); }
    /// Changes whenever a page comes to lead elsewhere or nowhere.
    std::uint64_t changes() const { return changes_; }
    /// Maps `count` pages from `page` on to frames from `frame` on, all alike; what was mapped there is replaced. Executable pages
    /// come from the file of copies, at the same place, unless they are writable too: then from RAM. Where the host takes no more mappings
    /// (vm.max_map_count) everything else is unmapped first. False when it refuses even then.
    bool map(std::uint32_t page, std::uint32_t count, MappedPage to);
    /// Takes write access from every page that leads to the frame, executable ones stay as they are.
    void write_protect_frame(std::uint32_t frame);
    /// Unmaps executable pages that lead to the frame.
    void drop_executable(std::uint32_t frame);
    void unmap(std::uint32_t page);
    /// Unmaps what a load of CR3 invalidates; `stays` is asked of each page whether the new tables lead it to the same place in the same way.
    void flush_local(const std::function<bool(std::uint32_t page, const MappedPage&)>& stays);
    void flush_local();
    void flush_all();
    /// Unmaps pages that are not for user code, below `end`.
    void flush_supervisor_below(std::uint32_t end);

    /// Keeps a range for the monitor: guest pages there are never mapped. One range; `count` 0 for none.
    void reserve(std::uint32_t page, std::uint32_t count);
    bool is_reserved(std::uint32_t page) const { return page - reserved_begin_ < reserved_end_ - reserved_begin_; }

    /// The first page from which on supervisor pages are mapped; kPages without any. Only flushes raise it.
    std::uint32_t first_supervisor_page() const { return local_.first_supervisor < global_.first_supervisor ? local_.first_supervisor : global_.first_supervisor; }
    const MappingCounts& counts() const { return counts_; }
    /// Counts the host's mappings that hold guest pages now, at most: runs of pages mapped alike. Looks
    /// at every page: some milliseconds.
    std::uint32_t count_mappings() const;

private:
    static constexpr std::uint32_t kFrameShift = DirectPages::kFrameShift, kPresent = DirectPages::kPresent, kWritable = DirectPages::kWritable,
                                   kExecutable = 4, kUser = DirectPages::kUser, kGlobal = 16, kListedLocal = 32, kListedGlobal = 64, kHidden = 128;
    static constexpr std::uint32_t kListed = kListedLocal | kListedGlobal;

    static MappedPage unpack(std::uint32_t entry) {
        return {entry >> kFrameShift, (entry & kPresent) != 0, (entry & kWritable) != 0, (entry & kExecutable) != 0,
                (entry & kUser) != 0, (entry & kGlobal) != 0, (entry & kHidden) != 0};
    }
    void set(std::uint32_t page, std::uint32_t entry);
    void clear(std::uint32_t page);
    void unmap_run(std::uint32_t page, std::uint32_t end);
    void drop_all();
    /// Pages that were mapped since the last flush of their kind, each once; some may be unmapped again.
    struct Listed {
        std::vector<std::uint32_t> pages;
        std::uint32_t first_page = kPages, first_supervisor = kPages;
    };
    template <class Condition>
    void flush_where(Listed& listed, Condition condition);
    bool anything_between(std::uint32_t page, std::uint32_t end) const;

    const SharedPages* ram_ = nullptr;
    const SharedPages* code_ = nullptr;
    std::vector<std::uint32_t> entries_;      ///< by linear page
    std::vector<std::uint32_t> next_, previous_;  ///< by linear page: its neighbours among those that lead to the same frame, + 1
    std::vector<std::uint32_t> first_;        ///< by frame: the first linear page that leads to it, + 1
    Listed local_, global_;                   ///< what a load of CR3 unmaps, and what it leaves
    std::uint32_t reserved_begin_ = 0, reserved_end_ = 0;
    MappingCounts counts_;
    std::uint64_t changes_ = 0;
};

}  // namespace trapline::executor
