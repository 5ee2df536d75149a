// SPDX-License-Identifier: Apache-2.0
// What the database says stands at some bytes, on this CPU and on any.
#pragma once

#include <optional>
#include <string>

#include "decode/instruction_decoder.h"
#include "executor/verify/judge.h"

namespace trapline::executor {

/// A form and its length; nothing but a hole when both pointers are null.
struct SlotContent {
    int length = 0;  ///< 0 for a hole
    const isa::Record* record = nullptr;
    const isa::InnocuousForm* innocuous = nullptr;
    bool valid() const { return record != nullptr || innocuous != nullptr; }
    /// The record's id or the mnemonic; empty for a hole.
    std::string name() const { return record != nullptr ? record->id : innocuous != nullptr ? innocuous->mnemonic : std::string(); }
};

/// Asks the generated decoder. Keeps references to its arguments.
class SlotDecoder {
public:
    SlotDecoder(const isa::Database& database, const Host& host, const isa::Profile& everyone)
        : database_(&database), host_(&host), here_(database, host.profile), everywhere_(database, everyone) {}

    /// Gives what stands there by the forms of this CPU's vendor, else by everyone's.
    SlotContent decode(Bytes bytes, Mode mode) const;
    /// Gives what stands there on this CPU, its features included; nothing for a hole or a form it lacks.
    std::optional<SlotContent> present(Bytes bytes, Mode mode) const;

private:
    SlotContent content_of(const decode::Insn& insn) const;

    const isa::Database* database_;
    const Host* host_;
    decode::InstructionDecoder here_;
    decode::InstructionDecoder everywhere_;
};

}  // namespace trapline::executor
