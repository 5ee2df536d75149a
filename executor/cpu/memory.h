// SPDX-License-Identifier: Apache-2.0
// What instructions see of memory, and what they ask of the machine around the processor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "executor/cpu/fault.h"
#include "executor/host/cpu.h"

namespace trapline::executor {

/// Who accesses: implicit accesses to descriptor tables, TSS and the inner stack are the supervisor's whatever the CPL.
enum class Privilege : std::uint8_t { supervisor, user };

/// Linear memory of the guest as its own page tables and CR0.WP have it. Accesses may cross pages; one that faults has changed
/// nothing but accessed and dirty bits. Linear addresses wrap at 4 GiB in 32-bit guests.
class LinearMemory {
public:
    virtual ~LinearMemory() = default;
    virtual MaybeFault read(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) = 0;
    virtual MaybeFault write(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) = 0;
    /// As read, for instruction bytes: the fault says so where the guest has no-execute pages.
    virtual MaybeFault fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) = 0;
    /// Raises the fault that a write would raise, and writes nothing.
    virtual MaybeFault check_write(std::uint64_t linear, std::size_t size, Privilege privilege) = 0;
    /// A task switch has set CR0.TS and, with paging on, loaded CR3; the vCPU has the new values and the next access is the new
    /// task's. Memory without page tables of its own needs to do nothing.
    virtual void task_switched(std::uint64_t old_cr0, std::uint64_t old_cr3) { static_cast<void>(old_cr0), static_cast<void>(old_cr3); }
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
