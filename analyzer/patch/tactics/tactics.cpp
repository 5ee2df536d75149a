// SPDX-License-Identifier: Apache-2.0
// The order of preference.
#include <array>

#include "patch/tactics/tactic.h"

namespace trapline::patch {

std::span<const Tactic> code_tactics() {
    static constexpr std::array kTactics = {
        Tactic{Technique::inline_code, propose_inline},
        Tactic{Technique::direct, propose_direct},
        Tactic{Technique::absorb, propose_absorb},
    };
    return kTactics;
}

}  // namespace trapline::patch
