// SPDX-License-Identifier: Apache-2.0
// The database files that the build compiled in.
#include "isa/loader.h"

extern "C" {
#include "embedded_specs_declarations.inc"
}

namespace trapline::isa {

const std::vector<SpecFile>& embedded_spec_files() {
    static const std::vector<SpecFile> kFiles = [] {
        struct Row {
            const char* path;
            const char* begin;
            const char* end;
        };
        static const Row kRows[] = {
#include "embedded_specs.inc"
        };
        std::vector<SpecFile> files;
        for (const Row& row : kRows) files.push_back({row.path, std::string_view(row.begin, static_cast<std::size_t>(row.end - row.begin))});
        return files;
    }();
    return kFiles;
}

}  // namespace trapline::isa
