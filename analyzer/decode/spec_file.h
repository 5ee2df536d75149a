// SPDX-License-Identifier: Apache-2.0
// Finds one of the database files that are compiled into the program.
#pragma once

#include <string_view>

namespace trapline::decode {

/// Gives the text of the embedded file `path` ("x86/opcode-maps.json"); its absence is a bug of the build.
std::string_view embedded_spec_text(std::string_view path);

}  // namespace trapline::decode
