// SPDX-License-Identifier: Apache-2.0
// Holds the database's mnemonics against LLVM's X86 opcode table and Capstone's instruction ids, both ways.
//
//   isa_coverage      no arguments: the compiled-in database and the linked libraries
//
// Exit codes: 0 all is covered or explained, 1 something is not or a difference has vanished, 2 usage, 3 bad database.
#include <fmt/format.h>

#include "decode/mnemonic_coverage.h"
#include "isa/loader.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

/// Fewer would mean that reading a peer's table has stopped working, and that nothing is compared.
constexpr std::size_t kLeastMnemonics = 1000;

int report(const MnemonicCoverage& coverage) {
    int failures = 0;
    const auto fail_each = [&](const std::vector<std::string>& names, std::string_view what) {
        for (const std::string& name : names) fmt::print("{}: {}\n", name, what);
        failures += static_cast<int>(names.size());
    };
    for (const PeerCoverage& peer : coverage.peers) {
        fmt::print("{} {}: {} entries, {} mnemonics, {} covered, {} explained, {} missing\n", peer.name, peer.version, peer.entries, peer.mnemonics, peer.covered,
                   peer.explained, peer.missing.size());
        fail_each(peer.missing, fmt::format("{} knows it, found neither in the database nor in x86/mnemonic-differences.json", peer.name));
        if (peer.mnemonics < kLeastMnemonics) fail_each({peer.name}, fmt::format("found {} mnemonics, expected at least {}", peer.mnemonics, kLeastMnemonics));
        // A row may excuse what Capstone lists; what LLVM encodes is an instruction.
        if (peer.name == "llvm-mc" && peer.covered != peer.mnemonics)
            fail_each({peer.name}, fmt::format("found {} of {} mnemonics in the database, expected all", peer.covered, peer.mnemonics));
    }
    fmt::print("database: {} mnemonics, {} known to a peer, {} explained, {} unknown\n", coverage.mnemonics, coverage.known, coverage.explained, coverage.unknown.size());
    fail_each(coverage.unknown, "in the database, known to no peer, found no row in x86/mnemonic-differences.json");
    fail_each(coverage.vanished, "the difference has vanished: remove it from x86/mnemonic-differences.json");
    return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char**) {
    if (argc != 1) {
        fmt::print(stderr, "usage: isa_coverage\n");
        return 2;
    }
    const isa::LoadOutcome loaded = isa::load_database(isa::embedded_spec_files());
    for (const Error& error : loaded.errors) fmt::print(stderr, "{}\n", error.describe());
    if (!loaded.errors.empty()) return 3;
    return report(measure_coverage(loaded.database, {llvm_table(), capstone_table()}, MnemonicDifferences::embedded(), DecoderDifferences::embedded()));
}
