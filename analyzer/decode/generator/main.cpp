// SPDX-License-Identifier: Apache-2.0
// Turns isa-specs/ into the decoder's tables while the program is built.
//
//   generate_decoder SPECS OUT.cpp      SPECS: the folder isa-specs/
//
// Every error of the database is printed with file and JSON pointer, a slot that nobody or that two forms claim among
// them; exit 1 and no output then, 2 usage.
#include <cstdio>

#include "decode/form_index.h"
#include "decode/generator/emit.h"
#include "isa/loader.h"

using namespace trapline;

namespace {

constexpr const char* kMaps = "x86/opcode-maps.json";

int report(const std::vector<Error>& errors) {
    for (const Error& error : errors) std::fprintf(stderr, "isa-specs/%s\n", error.describe().c_str());
    std::fprintf(stderr, "generate_decoder: %zu error(s), no decoder generated\n", errors.size());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: generate_decoder SPECS OUT.cpp\n");
        return 2;
    }
    std::vector<std::string> storage;
    const auto files = isa::read_spec_directory(argv[1], storage);
    if (!files) return report({files.error()});
    const isa::LoadOutcome loaded = isa::load_database(*files);
    if (!loaded.errors.empty()) return report(loaded.errors);
    std::string_view maps_text;
    for (const isa::SpecFile& file : *files)
        if (file.path == kMaps) maps_text = file.text;
    const auto maps = decode::OpcodeMaps::parse(maps_text, kMaps);
    if (!maps) return report({maps.error()});
    if (const std::vector<Error> errors = decode::check_claims(loaded.database, *maps); !errors.empty()) return report(errors);
    const decode::OwnedFormTables tables = decode::build_form_tables(loaded.database, *maps);
    const Status written = decode::write_decoder_source(argv[2], loaded.database.version, *maps, tables.view());
    return written ? 0 : report({written.error()});
}
