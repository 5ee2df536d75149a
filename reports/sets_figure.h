// SPDX-License-Identifier: Apache-2.0
// The Popek-Goldberg sets of one image as a picture.
#pragma once

#include <string>
#include <string_view>

#include "reports/tally.h"

namespace trapline::reports {

/// Draws privileged, control-sensitive and behavior-sensitive as three overlapping circles in SVG; what is sensitive and
/// not privileged, the critical set, is coloured. Every one of the seven regions bears its sites and its distinct forms.
/// Areas are not proportional: at the counts of real kernels the small regions would vanish, and they matter most.
/// Colours are CSS variables of the page (templates/report.css); the counts stand in <desc> too, for screen readers.
std::string render_sets_figure(const SetRegions& sets, std::string_view profile);

}  // namespace trapline::reports
