// SPDX-License-Identifier: Apache-2.0
// What the project asks of a disassembler, and the two peers that confirm the generated decoder: LLVM MC and Capstone.
// Library headers stay in their own .cpp files.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decode/form_tables.h"
#include "isa/database.h"
#include "support/address.h"
#include "support/bytes.h"

namespace trapline::decode {

class InstructionDecoder;

/// What one decoder says of the bytes at one place.
struct Opinion {
    bool valid = false;
    int length = 0;        ///< bytes, prefixes included; 0 when invalid
    std::string mnemonic;  ///< lower case, without prefixes ("rep", "lock")
    std::string text;      ///< Intel syntax, one line, single spaces; empty when invalid
};

/// A peer disassembler. Not thread-safe: make one for each thread.
class Witness {
public:
    virtual ~Witness() = default;
    virtual std::string_view name() const = 0;  ///< "llvm-mc" or "capstone"
    /// Decodes the instruction at the start of `bytes` as if it stood at `address`.
    virtual Opinion decode(Bytes bytes, Mode mode, VirtAddr address) = 0;
    /// The length alone, 0 when invalid: cheaper than decode.
    virtual int length(Bytes bytes, Mode mode) = 0;
};

std::unique_ptr<Witness> make_llvm_witness();
std::unique_ptr<Witness> make_capstone_witness();

/// Where a witness differs from the verdict, and why if the database knows (decoder-differences.json).
struct Disagreement {
    std::string decoder;
    std::string says;    ///< "invalid", "length 3", "mnemonic enqcmd"
    std::string reason;  ///< empty when unexplained
};

/// The verdict on one instruction.
struct Decoded {
    bool valid = false;
    int length = 0;
    FormIndex form = 0;                   ///< 0 when invalid
    const isa::Record* record = nullptr;  ///< null for innocuous forms
    std::string mnemonic;
    std::string text;
    std::string invalid_reason;           ///< for people, when invalid: "LOCK on an instruction that does not take it"
    std::vector<Disagreement> disagreements;
};

/// Decodes with the generated decoder and has both witnesses confirm. Not thread-safe: make one for each thread.
class Reconciler {
public:
    Reconciler(const isa::Database& database, const isa::Profile& profile);
    ~Reconciler();
    /// Full verdict with text and disagreements.
    Decoded decode(Bytes bytes, Mode mode, VirtAddr address);

    /// The decoder that decides, for those who need no text and no confirmation.
    const InstructionDecoder& decoder() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trapline::decode
