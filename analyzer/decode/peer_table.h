// SPDX-License-Identifier: Apache-2.0
// The instructions that a peer disassembler's own tables list, by mnemonic: what the database is held against.
// Library headers stay in their own .cpp files.
#pragma once

#include <cstddef>
#include <set>
#include <string>

namespace trapline::decode {

/// One peer's table.
struct PeerTable {
    std::string name;                 ///< as Witness::name(): "llvm-mc" or "capstone"
    std::string version;              ///< of the library that is linked
    std::size_t entries = 0;          ///< opcodes (LLVM) or instruction ids (Capstone) that the mnemonics are taken from
    std::set<std::string> mnemonics;  ///< lower case, without prefixes
};

/// Reads every X86 opcode of the linked LLVM that stands for bytes, with the mnemonic of its Intel-syntax printer.
/// Left out: pseudo and code-generation entries, which have no encoding; prefixes; and entries whose text is a prefix
/// and another instruction ("rep movsb"). An opcode with a condition gives a mnemonic for each condition.
PeerTable llvm_table();

/// Reads every x86 instruction id of the linked Capstone.
PeerTable capstone_table();

}  // namespace trapline::decode
