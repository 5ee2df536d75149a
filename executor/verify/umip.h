// SPDX-License-Identifier: Apache-2.0
// Linux answers SGDT, SIDT, SLDT, STR and SMSW of user code with dummies when CR4.UMIP makes them trap. Two proofs that
// an answer is such a dummy: its value, and the time it takes.
#pragma once

#include <string>
#include <vector>

#include "decode/structure.h"
#include "executor/host/nursery.h"
#include "isa/database.h"

namespace trapline::executor {

/// Says whether a probe that executed left exactly the dummy of arch/x86/kernel/umip.c where the instruction stores.
/// For a memory operand the probe must have used RegisterPattern::pointers and no displacement.
bool is_umip_dummy(const isa::Record& record, const decode::Structure& structure, const ProbeJob& job, const ProbeResult& result);

/// The time one of the five takes, against LAR, which does not trap.
struct UmipTiming {
    std::string mnemonic;
    std::uint64_t ticks = 0;  ///< the least of several, in TSC ticks; 0 when it did not run
    std::uint64_t lar_ticks = 0;
    /// A #GP, the kernel's decoding and emulation cost far more than any untrapped instruction.
    bool trapped() const { return ticks > 4 * lar_ticks && ticks - lar_ticks > 300; }
};
Result<std::vector<UmipTiming>> time_umip(Nurseries& nurseries);

}  // namespace trapline::executor
