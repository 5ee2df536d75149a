// SPDX-License-Identifier: Apache-2.0
// The files of reports/templates/, compiled in, and the filling of their places. Internal to reports/.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace trapline::reports {

/// Gives a compiled-in template by file name. A name that is not there is a bug of ours: it stops the program.
std::string_view find_template(std::string_view name);

/// Replaces each {{name}} by its value, in one pass: what a value holds is never looked at again. A place without a value
/// is a bug of ours and stops the program. Values must already be safe where they go.
std::string fill_template(std::string_view text, const std::map<std::string_view, std::string>& values);

}  // namespace trapline::reports
