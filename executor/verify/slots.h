// SPDX-License-Identifier: Apache-2.0
// Every slot of an opcode map, tried on the CPU: each opcode with each mandatory prefix, with a memory and a register
// operand, and with each extension in ModRM.
#pragma once

#include <map>
#include <vector>

#include "executor/host/nursery.h"
#include "executor/verify/slot_content.h"

namespace trapline::executor {

/// One encoding to try.
struct SlotCase {
    Mode mode = Mode::long64;
    std::vector<std::uint8_t> bytes;  ///< prefixes, opcode, ModRM and SIB; what follows is zeros
};
/// Gives the cases of a map in 64-bit and 32-bit code, in order of opcodes. Prefixes and escapes are left out: they are
/// no instructions. For VEX, EVEX and XOP: W, L, a used and an unused vvvv, masks, zeroing and broadcast as well.
std::vector<SlotCase> enumerate_cases(const decode::OpcodeMaps& maps, isa::OpcodeMap map);

/// One encoding that is not as derived.
struct SlotFinding {
    SlotCase slot;
    std::string name;      ///< record id or mnemonic; "" for a hole
    Tally seen;
    Judgement judgement;
};

struct CheckedMap {
    isa::OpcodeMap map = isa::OpcodeMap::one;
    std::size_t cases = 0;
    std::map<std::pair<Agreement, std::string>, std::size_t> counts;  ///< by agreement and reason
    std::vector<SlotFinding> unexplained;
    std::vector<SlotFinding> explained;  ///< one for each row that explains something: its first case
};

/// Runs every case of `map`; what one experiment does not settle is run with all memory and register patterns. Some
/// 25,000 experiments a second and processor pair. Fails when a nursery is lost.
Result<CheckedMap> check_map(const isa::Database& database, const Host& host, Nurseries& nurseries, isa::OpcodeMap map, const Nurseries::Tick& tick,
                             std::size_t& experiments);

}  // namespace trapline::executor
