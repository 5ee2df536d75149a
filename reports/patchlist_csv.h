// SPDX-License-Identifier: Apache-2.0
// The list of places to change, for people who change them by hand.
#pragma once

#include <string>

#include "reports/sink.h"
#include "patch/plan.h"

namespace trapline::reports {

/// Writes `address,function,file,line,instruction,operation,technique` and one row for each site of the plan, in its order.
/// `function` is the symbol, or "(part:section)" where no symbol covers the site; other unknown fields are empty. Quoting and line ends as in write_scan_csv.
void write_patchlist_csv(const PlanDocument& plan, const Sink& sink);

}  // namespace trapline::reports
