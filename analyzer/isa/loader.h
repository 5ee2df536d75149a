// SPDX-License-Identifier: Apache-2.0
// Reads the JSON files of the database. All errors of all files are gathered, each with file and JSON pointer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "isa/database.h"

namespace trapline::isa {

/// One file of the database: its path below isa-specs/ ("x86/flags.json") and its text.
struct SpecFile {
    std::string path;
    std::string_view text;
};

/// Gives the files compiled into the program. The views live as long as the program.
const std::vector<SpecFile>& embedded_spec_files();

/// Reads all *.json below `directory` (a checkout's isa-specs/). The texts live in `storage`.
Result<std::vector<SpecFile>> read_spec_directory(const std::string& directory, std::vector<std::string>& storage);

struct LoadOutcome {
    Database database;
    std::vector<Error> errors;  ///< empty when everything was well-formed; otherwise the database is partial
};

/// Builds the database from its files. Unknown keys, atoms, resources, controls and values are errors.
LoadOutcome load_database(const std::vector<SpecFile>& files);

}  // namespace trapline::isa
