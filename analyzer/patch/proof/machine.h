// SPDX-License-Identifier: Apache-2.0
// The reference machine: one processor with sparse memory, either the original at CPL 0 or a deprivileged one at CPL 3 whose
// guest state lies in the page that it shares with the VMM. It executes single instructions; who decides which one comes
// next, and what the VMM does, is in run.h. Written from SDM volume 2; what it does not model is an opaque function.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "patch/proof/instruction.h"
#include "patch/proof/layout.h"
#include "patch/proof/memory.h"

namespace trapline::patch::proof {

/// Numbers of the general registers that instructions use without naming them.
inline constexpr unsigned kRax = 0, kRcx = 1, kRsp = 4;
/// Numbers of the segment registers as ModRM.reg encodes them.
enum class Segment : std::uint8_t { es, cs, ss, ds, fs, gs };

struct Cpu {
    std::array<std::uint64_t, 16> general{};   ///< outside 64-bit code the first eight, upper halves 0
    std::uint64_t ip = 0;
    std::uint64_t flags = kInitialFlags;       ///< the real register
    Mode code = Mode::long64;                  ///< of the code being executed
    std::array<std::uint64_t, 6> segment_base{};  ///< by Segment; not used in 64-bit code but for FS and GS

    static constexpr std::uint64_t kInitialFlags = 0x2;
    unsigned stack_bytes() const { return code == Mode::long64 ? 8 : 4; }
    std::uint64_t mask() const { return code == Mode::long64 ? ~std::uint64_t{0} : 0xFFFFFFFFu; }
};

/// How an instruction ended.
enum class Step : std::uint8_t {
    done,         ///< `cpu.ip` is where control goes on
    opaque,       ///< the machine has no model of it; nothing changed
    privileged,   ///< #GP(0) for privilege at CPL 3; nothing changed
};

class Machine {
public:
    /// `layout` must outlive the machine.
    Machine(const Layout& layout, std::uint64_t seed, bool deprivileged);

    Cpu cpu;
    SparseMemory memory;
    std::array<std::uint8_t, kPageBytes> vcpu{};  ///< of the original it holds the system registers, out of the code's reach
    bool pending_traps = false;                   ///< the VMM has made the pending page inaccessible

    const Layout& layout() const { return *layout_; }
    bool deprivileged() const { return deprivileged_; }

    // Memory as code sees it.
    std::uint64_t load(std::uint64_t address, unsigned size);
    void store(std::uint64_t address, unsigned size, std::uint64_t value);
    /// The address of the last access to the VMM's pages that no interface allows; of the original, of any. 0 without.
    std::uint64_t forbidden_access() const { return forbidden_; }
    /// The offset in the pending page of a store that trapped since the last call, once.
    std::optional<std::uint64_t> take_pending_store();

    // The guest's own view.
    std::uint64_t guest_flags() const;
    /// Takes bits outside the width of a 32-bit guest for 0.
    void set_guest_flags(std::uint64_t flags);
    std::uint64_t system(SystemRegister which) const;
    void set_system(SystemRegister which, std::uint64_t value);
    std::uint64_t vcpu_word(std::uint32_t offset, unsigned size) const;
    void set_vcpu_word(std::uint32_t offset, unsigned size, std::uint64_t value);

    /// Executes an ordinary instruction, or a sensitive one as the processor does at the machine's CPL with IOPL 0.
    Step execute(const Instruction& insn);
    /// Does what a sensitive instruction that the machine models does at CPL 0, to the guest's view of the state: the
    /// original's semantics, and what a VMM does for it. `cpu.ip` is not changed; the caller knows where control goes on.
    void operate(const Instruction& insn);

    /// A hash of everything an instruction can depend on: the guest's registers, flags and memory.
    std::uint64_t digest() const;
    /// A hash of the guest's system registers and what else the VMM keeps in its page.
    std::uint64_t system_digest() const;

    // Parts of the semantics that run.cpp needs too.
    void push(std::uint64_t value, unsigned size);
    std::uint64_t pop(unsigned size);

private:
    friend class OrdinaryExecutor;
    const Layout* layout_;
    bool deprivileged_;
    std::uint64_t forbidden_ = 0;
    std::optional<std::uint64_t> pending_store_;
};

/// Changes the machine as an opaque instruction does: registers, arithmetic flags and memory become a function of its
/// identity and the whole state. With `system` the guest's system registers and system flags change too, which is what an
/// operation of the VMM may do; `address` is then where the guest believes it stands.
void apply_opaque(Machine& machine, std::uint64_t identity, bool system, std::uint64_t address);

}  // namespace trapline::patch::proof
