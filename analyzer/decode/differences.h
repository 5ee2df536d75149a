// SPDX-License-Identifier: Apache-2.0
// Known errors of the peer disassemblers (isa-specs/x86/decoder-differences.json): where each is wrong, what is true,
// and by which source; and the spellings that mean the same instruction.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decode/decoder.h"
#include "decode/structure.h"

namespace trapline::decode {

/// In what a witness differs.
enum class Says : std::uint8_t {
    invalid,   ///< It rejects the bytes.
    valid,     ///< It accepts bytes that are no instruction.
    length,    ///< It accepts them with another length.
    mnemonic,  ///< It names another instruction.
};

/// One row of the file.
struct Difference {
    std::string decoder;   ///< Witness::name()
    std::string versions;  ///< releases it was seen in, for people
    ModeSet modes;
    std::uint8_t prefix_bits = 0;       ///< isa::PrefixSet::Bit values
    std::uint8_t mod_bits = 0;          ///< 1 memory, 2 register, 3 either
    std::uint16_t reg_mask = 0;         ///< as isa::EncodingKey::reg
    std::uint8_t rm_mask = 0;
    std::uint8_t lock_bits = 0;         ///< 1 without LOCK, 2 with it
    std::uint8_t has_66_bits = 0;       ///< 1 without 66, 2 with it (legacy maps)
    Says says = Says::invalid;
    std::string mnemonic;               ///< for Says::mnemonic: what it says; empty for any
    std::uint8_t rex_ignored_bits = 0;  ///< 1 without a REX that does not count, 2 with one
    bool has_map = true;                ///< speaks of certain opcodes, not of all
    bool truly_valid = true;
    std::string truth;                  ///< "invalid", "valid" or the mnemonic, for people
    std::string reason;
    std::string source;
};

/// The loaded file. Immutable.
class DecoderDifferences {
public:
    /// Reads the JSON text; fails on an unknown key or value or a missing reason, naming the place.
    static Result<DecoderDifferences> parse(std::string_view json, std::string_view file);
    /// Gives the rows compiled into the program; read once, shared by all threads.
    static const DecoderDifferences& embedded();

    /// Finds the row that explains why `decoder` says `says` of an instruction; `mnemonic` is the witness's.
    const Difference* find(std::string_view decoder, const Structure& structure, Says says, std::string_view mnemonic) const;
    /// Says whether a row corrects LLVM at this very opcode; a cheap filter for sweeps.
    bool corrects_llvm(isa::OpcodeMap map, std::uint8_t opcode) const {
        return corrects_llvm_[static_cast<std::size_t>(map) * 256 + opcode];
    }
    /// Says whether two mnemonics name one instruction ("popfl" and "popfd").
    bool same_mnemonic(std::string_view left, std::string_view right) const;

    const std::vector<Difference>& rows() const { return rows_; }
    /// Gives the number of its spelling group for each mnemonic that is in one.
    const std::unordered_map<std::string, int>& spellings() const { return spellings_; }

private:
    std::vector<Difference> rows_;
    std::vector<std::vector<std::uint16_t>> slots_;   ///< row numbers by map * 256 + opcode, in file order
    std::vector<bool> corrects_llvm_;                 ///< by map * 256 + opcode
    std::unordered_map<std::string, int> spellings_;  ///< group number by mnemonic
};

}  // namespace trapline::decode
