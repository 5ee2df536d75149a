// SPDX-License-Identifier: Apache-2.0
// A profile: the machine and the VMM under which tags are asked for (isa-specs/profiles/*.json).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "isa/record.h"

namespace trapline::isa {

/// Which hardware virtualisation the profile has; decides what `privileged` means.
enum class ExitModel : std::uint8_t { none, vmx, svm };

struct Profile {
    std::string id;
    std::string title;
    std::string why;
    int deprivileged_cpl = 3;
    ModeSet modes;
    Era era = Era::modern;
    std::vector<std::string> vendors;              ///< vendor-specific forms that exist
    std::vector<std::pair<AtomIndex, int>> fixed;  ///< atoms that have one value here
    std::vector<std::pair<AtomIndex, int>> vmm;    ///< what the VMM sets, where it differs from the atom's default
    ExitModel exits = ExitModel::none;
    bool all_exit_controls = false;
    std::vector<std::string> exit_controls;        ///< the controls set, unless all are
    std::vector<bool> guest_owned;                 ///< by ResourceIndex: the guest has its own copy
    std::vector<bool> guest_loaded;                ///< by ResourceIndex: reads show the guest's value, writes reach the host's register
    std::string file;
};

}  // namespace trapline::isa
