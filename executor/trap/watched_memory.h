// SPDX-License-Identifier: Apache-2.0
// Memory under the eyes of data breakpoints: passes every access on and notes which breakpoints it met. Used only while some are
// enabled. The processor's own accesses to descriptor tables, tasks and stacks count like those of operands.
#pragma once

#include "executor/cpu/memory.h"
#include "executor/trap/debug_conditions.h"

namespace trapline::executor {

class WatchedMemory final : public LinearMemory {
public:
    /// Keeps a reference to the memory.
    WatchedMemory(LinearMemory& memory, const DebugConditions& conditions) : memory_(memory), conditions_(conditions) {}

    /// The B bits of all breakpoints met so far.
    std::uint32_t met() const { return met_; }
    /// An access to a port has been made.
    void note_port(std::uint16_t port, unsigned size) { met_ |= conditions_.at_access(WatchedAccess::port, port, size); }

    MaybeFault read_any(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override {
        return note(WatchedAccess::read, linear, size, memory_.read(linear, to, size, privilege));
    }
    MaybeFault write_any(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) override {
        return note(WatchedAccess::write, linear, size, memory_.write(linear, from, size, privilege));
    }
    MaybeFault fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override { return memory_.fetch(linear, to, size, privilege); }
    MaybeFault check_write_any(std::uint64_t linear, std::size_t size, Privilege privilege) override { return memory_.check_write(linear, size, privilege); }
    void task_switched(std::uint64_t old_cr0, std::uint64_t old_cr3) override { memory_.task_switched(old_cr0, old_cr3); }

private:
    MaybeFault note(WatchedAccess access, std::uint64_t linear, std::size_t size, MaybeFault fault) {
        if (!fault) met_ |= conditions_.at_access(access, static_cast<std::uint32_t>(linear), size);
        return fault;
    }

    LinearMemory& memory_;
    DebugConditions conditions_;
    std::uint32_t met_ = 0;
};

}  // namespace trapline::executor
