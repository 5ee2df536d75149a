// SPDX-License-Identifier: Apache-2.0
// x87, MMX and SSE: whether they trap in the guest's own state (SDM vol. 3, tables 2-2 and 14-1); if not, the caller runs them.
#include "executor/cpu/handlers.h"
#include "executor/cpu/opcode_table.h"

namespace trapline::executor::handlers {
namespace {

constexpr Fault kNoMath{Vector::no_math, {}, 0};

bool is_set(const Execution& x, std::uint64_t bits) { return (x.vcpu.cr0 & bits) != 0; }

Step gate_vector(Execution& x, bool needs_fxsr) {
    if (is_set(x, cr0::em) || (needs_fxsr && (x.vcpu.cr4 & cr4::osfxsr) == 0)) return x.invalid();
    return is_set(x, cr0::ts) ? x.raise(kNoMath) : Step::not_here;
}

/// The shift groups 71-73: /2, /4 and /6 of words and doublewords, /2 and /6 of quadwords, /3 and /7 of whole XMM registers.
bool shift_exists(unsigned opcode, unsigned reg, bool xmm) {
    if (opcode == 0x73) return reg == 2 || reg == 6 || (xmm && (reg == 3 || reg == 7));
    return reg == 2 || reg == 4 || reg == 6;
}

}  // namespace

Step x87(Execution& x) { return is_set(x, cr0::em | cr0::ts) ? x.raise(kNoMath) : Step::not_here; }

Step fwait(Execution& x) { return is_set(x, cr0::mp) && is_set(x, cr0::ts) ? x.raise(kNoMath) : Step::not_here; }

Step vector(Execution& x) {
    const unsigned prefix = x.repeat == 0xF3 ? 2 : x.repeat == 0xF2 ? 3 : x.operand_prefix ? 1 : 0;
    const unsigned opcode = x.opcode & 0xFF;
    const std::uint8_t form = kVectorForms[opcode][prefix];
    if ((form & vector_form::exists) == 0 || ((form & vector_form::memory_only) != 0 && !x.is_memory) ||
        ((form & vector_form::register_only) != 0 && x.is_memory))
        return x.invalid();
    if (opcode >= 0x71 && opcode <= 0x73 && !shift_exists(opcode, x.reg(), prefix == 1)) return x.invalid();
    return gate_vector(x, (form & vector_form::mmx) == 0);
}

Step fence_group(Execution& x) {
    if (x.repeat != 0 || x.operand_prefix) return x.invalid();  // FS and GS bases, CLWB and what came later
    if (!x.is_memory) return x.reg() >= 5 ? Step::done : x.invalid();
    switch (x.reg()) {
        case 0:
        case 1: return is_set(x, cr0::em | cr0::ts) ? x.raise(kNoMath) : Step::not_here;
        case 2:
        case 3: return gate_vector(x, true);
        default: return x.invalid();  // XSAVE, XRSTOR, XSAVEOPT, CLFLUSH: hidden
    }
}

}  // namespace trapline::executor::handlers
