// SPDX-License-Identifier: Apache-2.0
// An interface for those who program against it: as a C header, and as the tables of its document.
#pragma once

#include <string>

#include "isa/abi.h"

namespace trapline::isa {

/// Renders a header that is C11, C++11 and, as to its macros, assembly (`__ASSEMBLER__`): versions, areas by mode, offsets
/// of fields, numbers of calls and commands, and a structure for each page that has fields, padded to the whole page and
/// held in place by static assertions. Names begin with the interface's id in upper case (structures: lower case).
std::string render_c_header(const Abi& abi);

/// Renders the tables of the interface's page in Markdown, each between the lines `<!-- table NAME -->` and `<!-- end -->`:
/// version, areas, fields, operations, templates. Empty ones are left out.
std::string render_markdown_tables(const Abi& abi);

}  // namespace trapline::isa
