// SPDX-License-Identifier: Apache-2.0
// Capstone's x86 instruction ids as a list of mnemonics.
#include <capstone/capstone.h>
#include <fmt/format.h>

#include "decode/peer_table.h"
#include "support/error.h"

namespace trapline::decode {

PeerTable capstone_table() {
    csh handle = 0;
    TRAPLINE_ASSERT(cs_open(CS_ARCH_X86, CS_MODE_64, &handle) == CS_ERR_OK, "the Capstone that is linked has no x86 support");
    PeerTable table;
    table.name = "capstone";
    int major = 0, minor = 0;
    cs_version(&major, &minor);
    table.version = fmt::format("{}.{}", major, minor);
    for (unsigned id = X86_INS_INVALID + 1; id < X86_INS_ENDING; ++id) {
        const char* name = cs_insn_name(handle, id);
        if (name == nullptr) continue;
        ++table.entries;
        table.mnemonics.insert(name);
    }
    cs_close(&handle);
    return table;
}

}  // namespace trapline::decode
