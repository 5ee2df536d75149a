// SPDX-License-Identifier: Apache-2.0
// What one execution of a site costs, in cycles of the time-stamp counter: a calibration table, and estimates from it.
#pragma once

#include <string>

#include "patch/plan.h"

namespace trapline::patch {

/// Cycles of one event each. The defaults are what `trapline doctor --calibrate` measured on an AMD EPYC of family 26 under
/// Linux 6.18, itself a guest.
struct CostTable {
    std::string source = "default";  ///< "default", or the file's name
    double trap = 5100;              ///< a privileged instruction to a signal handler and back
    double breakpoint = 5300;        ///< INT3 to a signal handler and back
    double instruction = 0.3;        ///< a simple instruction of a template
    double jump_pair = 1;            ///< JMP rel32 to a stub and back
    double far_call = 80;            ///< 32-bit code to 64-bit code of the VMM and back by far transfers
    double near_call = 1.2;          ///< 64-bit code to the VMM and back
    double emulate = 150;            ///< what the VMM does to carry out an operation; an estimate, nothing measures it yet
};

/// Fills in cycles_trap and cycles of a site: untouched, and as planned. `lines` and `calls_vmm` describe its template; they
/// do not matter for a site without a patch.
void estimate(const CostTable& table, PlannedSite& site, std::size_t lines, bool calls_vmm);

}  // namespace trapline::patch
