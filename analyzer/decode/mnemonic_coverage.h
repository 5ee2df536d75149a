// SPDX-License-Identifier: Apache-2.0
// The database's mnemonics held against the tables of LLVM and Capstone, both ways. What is called otherwise is matched
// by spelling; what only one side has is a row of isa-specs/x86/mnemonic-differences.json with its reason.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "decode/differences.h"
#include "decode/peer_table.h"
#include "isa/database.h"

namespace trapline::decode {

/// Mnemonics that only one side has, and why.
struct MnemonicDifference {
    std::vector<std::string> mnemonics;
    std::string who;  ///< who has them: "llvm-mc", "capstone" or "database"
    std::string reason;
    std::string source;
    std::string pointer;  ///< JSON pointer of the row
};

/// The loaded file. Immutable.
class MnemonicDifferences {
public:
    /// Reads the JSON text; fails on an unknown key or word, or a mnemonic that `who` has in two rows, naming the place.
    static Result<MnemonicDifferences> parse(std::string_view json, std::string_view file);
    /// Gives the file compiled into the program; read once.
    static const MnemonicDifferences& embedded();

    const std::vector<MnemonicDifference>& rows() const { return rows_; }
    /// Groups of mnemonics that name one instruction, written out from the file's patterns ("j{cc}").
    const std::vector<std::vector<std::string>>& groups() const { return groups_; }

private:
    std::vector<MnemonicDifference> rows_;
    std::vector<std::vector<std::string>> groups_;
};

/// How much of one peer's table the database has.
struct PeerCoverage {
    std::string name, version;
    std::size_t entries = 0;           ///< PeerTable::entries
    std::size_t mnemonics = 0;         ///< distinct ones
    std::size_t covered = 0;           ///< in the database under their own or an equal spelling
    std::size_t explained = 0;         ///< in no form, with a row that says why
    std::vector<std::string> missing;  ///< neither
};

/// The outcome of both directions.
struct MnemonicCoverage {
    std::vector<PeerCoverage> peers;   ///< in the order of the tables given
    std::size_t mnemonics = 0;         ///< distinct ones of the database, records and innocuous forms
    std::size_t known = 0;             ///< of these, known to some peer
    std::size_t explained = 0;         ///< known to none, with a row that says why
    std::vector<std::string> unknown;  ///< neither
    std::vector<std::string> vanished; ///< "/rows/3: pcommit (capstone)": rows' mnemonics that explain nothing any more
};

/// Compares. Spellings are those of both difference files, taken together and transitively.
MnemonicCoverage measure_coverage(const isa::Database& database, const std::vector<PeerTable>& peers, const MnemonicDifferences& differences,
                                  const DecoderDifferences& spellings);

}  // namespace trapline::decode
