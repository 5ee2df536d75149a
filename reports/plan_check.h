// SPDX-License-Identifier: Apache-2.0
// Whether the parts of a plan fit each other. Reads documents only: whether a plan fits a file is the rewriter's question.
// Internal to reports/.
#pragma once

#include <string>

#include "patch/plan.h"
#include "support/error.h"

namespace trapline::reports {

/// Holds a plan against itself; each element alone is known to be well-formed.
/// - parts have names of their own; sites and patches name one; the plan's sha256 is that of a part;
/// - sites are numbered in order; one whose technique writes names a patch that writes over its first byte (an alternative's
///   replacement apart, which stays), with its technique and part, and one whose technique does not names none; a plan
///   without any patch says intentions and need not name them;
/// - no two writes of a part share a byte, neither of the file nor of a section; where address and file offset are known
///   twice for a section they differ by the same; a write covers sites with the bytes they have; the last write of a patch
///   is at its begin (an alternative apart); what is atomic is;
/// - stubs are in order and do not overlap; in an image at fixed addresses they lie in a range reserved for stubs; each is
///   led to; sites resume, and neighbours move, inside the stubs of their patch;
/// - reserved ranges do not overlap.
/// Gives the first fault with its JSON pointer: refused for overlaps, otherwise inconsistent.
Status check_plan_document(const PlanDocument& plan, const std::string& name);

}  // namespace trapline::reports
