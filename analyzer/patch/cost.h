// SPDX-License-Identifier: Apache-2.0
// What one execution of a site costs, in cycles of the time-stamp counter: a calibration table, and estimates from it.
#pragma once

#include <string>

#include "patch/plan.h"

namespace trapline::patch {

/// Cycles of one event each. The defaults are those measured on an AMD EPYC guest at 2.7 GHz; `trapline doctor --calibrate`
/// measures the host's own.
struct CostTable {
    std::string source = "default";  ///< "default", or the file's name
    double trap = 6700;              ///< a privileged instruction to a signal handler and back
    double breakpoint = 6500;        ///< INT3 to a signal handler and back
    double instruction = 1;          ///< a simple instruction of a template
    double jump_pair = 2;            ///< JMP rel32 to a stub and back
    double far_call = 160;           ///< 32-bit code to 64-bit code of the VMM and back by a far return
    double near_call = 20;           ///< 64-bit code to the VMM and back
    double emulate = 150;            ///< what the VMM does to carry out an operation
};

/// Fills in cycles_trap and cycles of a site: untouched, and as planned. `lines` and `calls_vmm` describe its template; they
/// do not matter for a site without a patch.
void estimate(const CostTable& table, PlannedSite& site, std::size_t lines, bool calls_vmm);

}  // namespace trapline::patch
