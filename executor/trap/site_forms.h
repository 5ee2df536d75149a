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

/// By form, for one profile. Immutable.
class SiteForms {
public:
    SiteForms(const isa::Database& database, const isa::Profile& profile);
    SiteKind kind(decode::FormIndex form) const { return form < kinds_.size() ? kinds_[form] : SiteKind::none; }

private:
    std::vector<SiteKind> kinds_;
};

}  // namespace trapline::executor
