// SPDX-License-Identifier: Apache-2.0
// See spec_file.h.
#include "decode/spec_file.h"

#include "isa/loader.h"

namespace trapline::decode {

std::string_view embedded_spec_text(std::string_view path) {
    for (const isa::SpecFile& file : isa::embedded_spec_files())
        if (file.path == path) return file.text;
    TRAPLINE_ASSERT(false, "a file of the database is not compiled into the program");
    return {};
}

}  // namespace trapline::decode
