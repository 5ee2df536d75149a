// SPDX-License-Identifier: Apache-2.0
// What instructions see of memory, and what they ask of the machine around the processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "executor/cpu/fault.h"
#include "executor/host/cpu.h"

namespace trapline::executor {

/// Who accesses: implicit accesses to descriptor tables, TSS and the inner stack are the supervisor's whatever the CPL.
enum class Privilege : std::uint8_t { supervisor, user };

/// Copies the few bytes of an operand without a call.
inline void copy_operand(void* to, const void* from, std::size_t size) {
    switch (size) {
        case 1: std::memcpy(to, from, 1); return;
        case 2: std::memcpy(to, from, 2); return;
        case 4: std::memcpy(to, from, 4); return;
        default: std::memcpy(to, from, size); return;
    }
}

/// Pages of RAM whose accesses need no further checks: what a translation cache knows. Empty where there is none.
struct DirectPages {
    // A page's word: the frame from kFrameShift on, and these bits.
    static constexpr std::uint32_t kFrameShift = 12, kPresent = 1, kWritable = 2, kUser = 8;

    /// A page that the supervisor may read, by page number modulo kReadPages.
    struct ReadPage {
        std::uint32_t page = kNoPage, frame = 0;
    };
    static constexpr std::uint32_t kNoPage = 1u << 20;
    static constexpr std::size_t kReadPages = 64;

    const std::uint32_t* words = nullptr;  ///< by linear page, 2^20 of them
    const ReadPage* read_pages = nullptr;  ///< kReadPages more; null without
    std::uint8_t* ram = nullptr;           ///< frame 0

    /// The bytes at a linear address that lie on one such page, else null.
    std::uint8_t* find(std::uint32_t linear, std::size_t size, bool write, Privilege privilege) const {
        constexpr std::uint32_t kPage = 1u << kFrameShift;
        if (words == nullptr || linear % kPage + size > kPage) return nullptr;
        const std::uint32_t word = words[linear / kPage], wanted = kPresent | (write ? kWritable : 0) | (privilege == Privilege::user ? kUser : 0);
        if ((word & wanted) != wanted) return nullptr;
        return at(word >> kFrameShift, linear);
    }
    /// The same for what the supervisor reads.
    const std::uint8_t* find_to_read(std::uint32_t linear, std::size_t size) const {
        if (const std::uint8_t* const here = find(linear, size, false, Privilege::supervisor)) return here;
        constexpr std::uint32_t kPage = 1u << kFrameShift;
        if (read_pages == nullptr || linear % kPage + size > kPage) return nullptr;
        const ReadPage& known = read_pages[linear / kPage % kReadPages];
        return known.page == linear / kPage ? at(known.frame, linear) : nullptr;
    }

private:
    std::uint8_t* at(std::uint32_t frame, std::uint32_t linear) const {
        return ram + (std::uint64_t{frame} << kFrameShift) + linear % (1u << kFrameShift);
    }
};

/// Linear memory of the guest as its own page tables and CR0.WP have it. Accesses may cross pages; one that faults has changed
/// nothing but accessed and dirty bits. Linear addresses wrap at 4 GiB in 32-bit guests.
class LinearMemory {
public:
    virtual ~LinearMemory() = default;
    MaybeFault read(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) {
        const auto at = static_cast<std::uint32_t>(linear);
        if (const std::uint8_t* const here = privilege == Privilege::user ? direct_.find(at, size, false, privilege) : direct_.find_to_read(at, size)) {
            copy_operand(to, here, size);
            return {};
        }
        return read_any(linear, to, size, privilege);
    }
    MaybeFault write(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) {
        if (std::uint8_t* const here = direct_.find(static_cast<std::uint32_t>(linear), size, true, privilege)) {
            copy_operand(here, from, size);
            return {};
        }
        return write_any(linear, from, size, privilege);
    }
    /// Raises the fault that a write would raise, and writes nothing.
    MaybeFault check_write(std::uint64_t linear, std::size_t size, Privilege privilege) {
        if (direct_.find(static_cast<std::uint32_t>(linear), size, true, privilege) != nullptr) return {};
        return check_write_any(linear, size, privilege);
    }
    const DirectPages& direct() const { return direct_; }
    /// As read, for instruction bytes: the fault says so where the guest has no-execute pages.
    virtual MaybeFault fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) = 0;
    /// A task switch has set CR0.TS and, with paging on, loaded CR3; the vCPU has the new values and the next access is the new
    /// task's. Memory without page tables of its own needs to do nothing.
    virtual void task_switched(std::uint64_t old_cr0, std::uint64_t old_cr3) { static_cast<void>(old_cr0), static_cast<void>(old_cr3); }

protected:
    virtual MaybeFault read_any(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) = 0;
    virtual MaybeFault write_any(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) = 0;
    virtual MaybeFault check_write_any(std::uint64_t linear, std::size_t size, Privilege privilege) = 0;

    DirectPages direct_;  ///< accesses to these do not come to the functions above
};

/// The machine around the processor.
class Platform {
public:
    virtual ~Platform() = default;
    /// One access to a port, `size` is 1, 2 or 4 bytes.
    virtual std::uint32_t port_in(std::uint16_t port, unsigned size) = 0;
    virtual void port_out(std::uint16_t port, unsigned size, std::uint32_t value) = 0;
    /// The virtual processor's answer.
    virtual CpuidLeaf cpuid(std::uint32_t leaf, std::uint32_t subleaf) = 0;
    /// False where the virtual processor has no such register or the value is not allowed: #GP(0).
    virtual bool read_msr(std::uint32_t index, std::uint64_t& value) = 0;
    virtual bool write_msr(std::uint32_t index, std::uint64_t value) = 0;
    virtual std::uint64_t read_tsc() = 0;
    /// Whether the values that CR0, CR3 and CR4 of the vCPU have got may stay, as far as the tables that they lead to are concerned: PAE
    /// reads its four pointers when it is loaded, and #GP(0) refuses reserved bits in them. If not, the old value is put back.
    virtual bool accepts_page_tables() { return true; }
    /// CR0, CR3 or CR4 (by number) has been loaded; the vCPU has the new value already.
    virtual void control_register_loaded(unsigned number, std::uint64_t old_value) = 0;
    /// INVLPG has been executed.
    virtual void page_invalidated(std::uint64_t linear) = 0;
};

}  // namespace trapline::executor
