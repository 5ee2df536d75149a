// SPDX-License-Identifier: Apache-2.0
// Writes the C header of an interface during the build: generate_abi_header ISA_SPECS_FOLDER INTERFACE OUTPUT.
#include <cstdio>
#include <fstream>

#include "isa/abi_export.h"
#include "isa/loader.h"

using namespace trapline;

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: generate_abi_header ISA_SPECS_FOLDER INTERFACE OUTPUT\n");
        return 2;
    }
    std::vector<std::string> storage;
    const auto files = isa::read_spec_directory(argv[1], storage);
    if (!files) {
        std::fprintf(stderr, "%s\n", files.error().describe().c_str());
        return 3;
    }
    const auto loaded = isa::load_database(*files);
    // A record that is wrong elsewhere is lint's business; the interface must be whole.
    bool whole = true;
    for (const Error& error : loaded.errors) {
        if (error.file.rfind("abi/", 0) != 0) continue;
        std::fprintf(stderr, "%s\n", error.describe().c_str());
        whole = false;
    }
    const isa::Abi* abi = loaded.database.find_abi(argv[2]);
    if (abi == nullptr) std::fprintf(stderr, "%s: found no interface \"%s\"\n", argv[1], argv[2]);
    if (abi == nullptr || !whole) return 3;
    std::ofstream stream(argv[3], std::ios::binary);
    stream << isa::render_c_header(*abi);
    stream.close();
    if (!stream) std::fprintf(stderr, "%s: cannot write\n", argv[3]);
    return stream ? 0 : 3;
}
