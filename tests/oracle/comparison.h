// SPDX-License-Identifier: Apache-2.0
// Holds the generated decoder against every peer, one instruction at a time, and sorts what differs: explained by a row
// of decoder-differences.json, or not.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/differences.h"
#include "decode/instruction_decoder.h"

namespace trapline::oracle {

/// Differences of one kind: how many, and the first that was seen.
struct DifferenceClass {
    std::uint64_t count = 0;
    std::string mode, bytes;  ///< of the first one
    std::string text;         ///< what the peer makes of it; empty when it rejects it
    std::string ours;         ///< mnemonic or reason

    void note(std::uint64_t times, const DifferenceClass& other);
};

/// What comparisons found.
struct Tally {
    std::uint64_t instructions = 0;        ///< windows compared
    std::uint64_t valid = 0;               ///< of them, instructions by our decoder
    std::uint64_t bytes = 0;               ///< of those instructions
    std::uint64_t differing = 0;           ///< windows that some peer sees otherwise
    std::vector<DifferenceClass> rows;     ///< by row of decoder-differences.json
    std::map<std::string, DifferenceClass> unexplained;

    std::uint64_t unexplained_count() const;
    void add(const Tally& other);
};

/// How much is compared. Names cost ten times what lengths do.
enum class Compare : std::uint8_t { lengths, lengths_and_names };

/// Our decoder and its peers. Not thread-safe: the peers are not; make one for each thread.
class Comparison {
public:
    /// Keeps a reference to the decoder, which threads may share.
    explicit Comparison(const decode::InstructionDecoder& decoder);

    /// Compares the instruction at the start of `bytes`, of which our decoder said `insn` when it went through a run of
    /// instructions. Gives the number of peers that differ without a reason; the decoder differing from itself counts.
    int check(Bytes bytes, Mode mode, decode::Insn insn, Compare compare);
    /// The same for bytes that stand alone.
    int check(Bytes bytes, Mode mode, Compare compare);

    const decode::InstructionDecoder& decoder() const { return decoder_; }
    const Tally& tally() const { return tally_; }

private:
    enum class Verdict : std::uint8_t { agrees, explained, unexplained };
    Verdict check_witness(decode::Witness& witness, Bytes bytes, const decode::Structure& structure, decode::Insn insn, Compare compare);
    DifferenceClass example(Bytes bytes, Mode mode, std::string text, const decode::Structure& structure, decode::Insn insn) const;
    void note_unexplained(std::string key, Bytes bytes, Mode mode, std::string text, const decode::Structure& structure, decode::Insn insn);

    const decode::InstructionDecoder& decoder_;
    const decode::DecoderDifferences& differences_;
    std::vector<std::unique_ptr<decode::Witness>> witnesses_;
    Tally tally_;
};

}  // namespace trapline::oracle
