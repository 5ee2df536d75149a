// SPDX-License-Identifier: Apache-2.0
// The distance to a port to a hypercall interface, as rows of the summary and as a table of the report.
#pragma once

#include <string>
#include <vector>

#include "patch/abi_distance.h"

namespace trapline::reports {

/// A row of the summary: label, count, and a remark of any length.
struct DistanceLine {
    std::string label;
    std::uint64_t count = 0;
    std::string remark;
};

/// Names interface and version: "Distance to a Xen PV port (xen-pv 4.17): 2,153 sites".
std::string distance_heading(const AbiDistance& distance);

/// One row for each fit, whose remark names the operations with the most sites, and one for sites that are never run.
std::vector<DistanceLine> distance_totals(const AbiDistance& distance);

/// One row for each operation without equivalent; the remark is the interface's note.
std::vector<DistanceLine> distance_gaps(const AbiDistance& distance);

/// Renders heading and table as HTML: every operation with its sites, what stands in and what differs.
std::string render_distance_html(const AbiDistance& distance);

}  // namespace trapline::reports
