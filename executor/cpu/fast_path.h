// SPDX-License-Identifier: Apache-2.0
// The frequent instructions of a kernel's entries and exits in the state that kernels run in: 32-bit code, segments of 4 GiB, pages that
// the translation cache knows. Each is executed whole or not at all; with all their checks the handlers execute what is refused here.
#pragma once

#include <cstdint>

#include "executor/cpu/instruction.h"
#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"

namespace trapline::executor {

/// The processor as fast handlers see it.
class FastState {
public:
    /// Keeps references.
    FastState(Vcpu& vcpu_in, const DirectPages& pages_in) : vcpu(vcpu_in), pages(pages_in) { look(); }

    Vcpu& vcpu;
    const DirectPages& pages;

    /// To be called when anything but a fast handler may have changed CS, CPL, flags or control registers.
    void look();
    /// Whether fast handlers may run: protected mode, and CS is a flat 32-bit segment.
    bool is_usable() const { return usable_; }

    /// The bytes at an offset of a segment where an access needs no further check, else null.
    std::uint8_t* find(unsigned which, std::uint32_t offset, std::size_t size, bool write) const {
        const Segment& segment = vcpu.segments[which];
        if (segment.limit != 0xFFFFFFFF || !segment.present || !segment.is_writable() || segment.is_expand_down() || checks_alignment_) return nullptr;
        return pages.find(static_cast<std::uint32_t>(segment.base) + offset, size, write, privilege_);
    }
    /// The same for the stack, where it is a 32-bit one.
    std::uint8_t* find_stack(std::uint32_t offset, bool write) const { return vcpu.ss().big ? find(kSs, offset, 4, write) : nullptr; }

private:
    Privilege privilege_ = Privilege::supervisor;
    bool usable_ = false, checks_alignment_ = false;
};

/// Executes an instruction of 32-bit code that stands at CS:EIP and that is not under breakpoints or TF, but for RF and interrupt_shadow,
/// which it leaves alone. False: nothing has been done.
using FastHandler = bool (*)(FastState&, const Instruction&);

/// Null for instructions that have none.
FastHandler fast_handler(const Instruction& instruction);

}  // namespace trapline::executor
