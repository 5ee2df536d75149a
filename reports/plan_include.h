// SPDX-License-Identifier: Apache-2.0
// The sites of a plan as a text that GNU as includes.
#pragma once

#include "patch/plan.h"
#include "reports/sink.h"

namespace trapline::reports {

/// Writes one macro line for each site, in the order of the plan:
///   trapline_site number=0, address=0xc1000010, length=1, operation="get_flags", technique="absorb", part="payload"
/// A file that wants something else of the sites defines a macro `trapline_site` with these parameters, and the symbol
/// TRAPLINE_SITE_MACRO, before it includes the text. Without that symbol a default macro puts a table into the section
/// .trapline.site_list: for each site u64 address, u32 number, u32 length, then operation, technique and part, each ended by
/// a zero byte, then zeros up to a multiple of 8. The head of the text says the same. It assembles as it stands with
/// `as --32` and `as --64`. Of strings only letters, digits, '_', '-' and '.' survive; the rest becomes '_'.
void write_plan_include(const PlanDocument& plan, const Sink& sink);

}  // namespace trapline::reports
