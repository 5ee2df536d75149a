// SPDX-License-Identifier: Apache-2.0
// Which instruction forms must not run as they are in 32-bit guest code at the host's ring 3, derived from the database.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "classify/tags.h"
#include "decode/form_tables.h"
#include "isa/database.h"

namespace trapline::executor {

enum class SiteKind : std::uint8_t {
    none,        ///< runs natively
    privileged,  ///< traps by itself
    critical,    ///< gives a wrong result without a trap, or would reach the host's kernel
};

/// When a form that runs natively raises #NM or #UD in the guest's state: x87, MMX and SSE do, by bits of CR0 that are the host's own
/// while guest code runs.
enum class FpuTrap : std::uint8_t {
    never,
    ts_or_em,
    ts_and_mp,  ///< WAIT
};

/// By form, for one profile. Immutable.
class SiteForms {
public:
    SiteForms(const isa::Database& database, const isa::Profile& profile);
    SiteKind kind(decode::FormIndex form) const { return form < kinds_.size() ? kinds_[form] : SiteKind::none; }
    FpuTrap fpu_trap(decode::FormIndex form) const { return fpu_traps_[form]; }

private:
    std::vector<SiteKind> kinds_;
    std::vector<FpuTrap> fpu_traps_;
};

}  // namespace trapline::executor
