// SPDX-License-Identifier: Apache-2.0
// Loads isa-specs/ and derives the tags under all profiles while the program is built.
//
//   compile_database SPECS FOLDER      SPECS: the folder isa-specs/; writes FOLDER/database.snapshot and FOLDER/tags.snapshot
//
// Every error of the database is printed with file and JSON pointer; exit 1 then, 2 usage.
#include <cstdio>

#include "classify/tag_snapshot.h"
#include "isa/loader.h"
#include "isa/snapshot.h"

using namespace trapline;

namespace {

int report(const std::vector<Error>& errors) {
    for (const Error& error : errors) std::fprintf(stderr, "isa-specs/%s\n", error.describe().c_str());
    std::fprintf(stderr, "compile_database: %zu error(s), no database compiled\n", errors.size());
    return 1;
}

bool write(const std::string& path, const std::string& bytes) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    const bool written = file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    const bool closed = file != nullptr && std::fclose(file) == 0;
    if (!written || !closed) std::fprintf(stderr, "compile_database: cannot write %s\n", path.c_str());
    return written && closed;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: compile_database SPECS FOLDER\n");
        return 2;
    }
    std::vector<std::string> storage;
    const auto files = isa::read_spec_directory(argv[1], storage);
    if (!files) return report({files.error()});
    const isa::LoadOutcome loaded = isa::load_database(*files);
    if (!loaded.errors.empty()) return report(loaded.errors);
    const std::string folder = argv[2];
    return write(folder + "/database.snapshot", isa::write_snapshot(loaded.database)) && write(folder + "/tags.snapshot", classify::write_tag_snapshot(loaded.database)) ? 0 : 1;
}
