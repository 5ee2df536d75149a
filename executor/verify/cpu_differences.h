// SPDX-License-Identifier: Apache-2.0
// Where a CPU or host does other than the derivation says, and why (isa-specs/x86/cpu-differences.json). A row speaks of
// named forms or of certain opcodes, and of certain outcomes: nothing else is excused by it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "executor/host/cpu.h"
#include "executor/host/observation.h"
#include "executor/verify/cpu_features.h"
#include "isa/database.h"
#include "support/error.h"

namespace trapline::executor {

struct CpuDifference {
    std::vector<std::string> forms;     ///< record ids; or:
    bool by_opcode = false;             ///< the fields below, as in decoder-differences.json
    isa::OpcodeMap map = isa::OpcodeMap::one;
    std::vector<bool> opcodes;          ///< 256
    std::uint8_t prefix_bits = 0, mod_bits = 0, rm_mask = 0;
    std::uint16_t reg_mask = 0;
    std::optional<bool> w;              ///< REX.W or VEX.W
    ModeSet modes;
    std::vector<std::string> outcomes;  ///< Observation::word()
    bool applies = true;                ///< the row's conditions hold on this CPU
    std::string reason;
    std::string source;
};

class CpuDifferences {
public:
    static constexpr std::string_view kFile = "x86/cpu-differences.json";

    /// Reads the rows and decides which apply to `cpu`. Fails on unknown keys, forms, features and outcomes.
    static Result<CpuDifferences> parse(std::string_view json, const isa::Database& database, const CpuIdentity& cpu, const CpuFeatures& features);

    /// Finds the row that explains an outcome of a record, or of an encoding where `record` is null; null when none does.
    const CpuDifference* find(const isa::Record* record, const isa::EncodingKey& key, const Observation& observation) const;
    const std::vector<CpuDifference>& rows() const { return rows_; }

private:
    std::vector<CpuDifference> rows_;
};

}  // namespace trapline::executor
