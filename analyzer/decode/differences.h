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

/// What a row may ask of an instruction beside its place in the maps; one bit each. The words of the file, in order:
/// lock has_66 has_67 both_reps rex rex_ignored sib w, and of vector instructions vvvv v_high r_high x b b4 x4 z
/// evex_b masked.
using ConditionSet = std::uint32_t;
ConditionSet conditions_of(const Structure& structure);
/// Gives the words of the conditions that hold: "has_66 w".
std::string describe_conditions(ConditionSet conditions);

/// One row of the file.
struct Difference {
    std::string decoder;   ///< Witness::name()
    std::string versions;  ///< releases it was seen in, for people
    ModeSet modes;
    std::uint8_t prefix_bits = 0;       ///< isa::PrefixSet::Bit values
    std::uint8_t mod_bits = 0;          ///< 1 memory, 2 register, 3 either
    std::uint16_t reg_mask = 0;         ///< as isa::EncodingKey::reg
    std::uint8_t rm_mask = 0;
    std::uint8_t l_mask = 0;            ///< VEX.L or EVEX.L'L
    std::uint8_t space_bits = 0;        ///< by EncodingSpace
    std::uint16_t status_bits = 0;      ///< by StructureStatus: why we find no instruction, if for the structure
    ConditionSet with = 0, without = 0; ///< conditions that must and must not hold
    Says says = Says::invalid;
    std::string mnemonic;               ///< for Says::mnemonic: what it says; empty for any
    isa::Era until = isa::Era::modern;  ///< last generation with an instruction that the row speaks of
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
    /// Says whether two mnemonics name one instruction ("popfl" and "popfd").
    bool same_mnemonic(std::string_view left, std::string_view right) const;

    const std::vector<Difference>& rows() const { return rows_; }
    /// Gives the number of its spelling group for each mnemonic that is in one.
    const std::unordered_map<std::string, int>& spellings() const { return spellings_; }

private:
    std::vector<Difference> rows_;
    std::vector<std::vector<std::uint16_t>> slots_;   ///< row numbers by map * 256 + opcode, in file order
    std::unordered_map<std::string, int> spellings_;  ///< group number by mnemonic
};

}  // namespace trapline::decode
