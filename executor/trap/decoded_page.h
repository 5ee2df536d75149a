// SPDX-License-Identifier: Apache-2.0
// Instructions of a page of code as the interpreter has decoded them once: what is interpreted is mostly the same few entries and
// exits of a kernel, over and over.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "executor/cpu/fast_path.h"
#include "executor/mmu/guest_memory.h"
#include "executor/trap/statistics.h"

namespace trapline::executor {

/// Behind a sensitive instruction there is often another one, further on than density looks: code of entries and exits.
inline constexpr std::uint8_t kGroup = 14;

struct DecodedInstruction {
    Instruction instruction;
    FastHandler fast = nullptr;  ///< tried first, null for none
    SiteTally* tally = nullptr;  ///< of a sensitive instruction that has been counted once
    std::uint16_t offset = 0xFFFF;  ///< in the page
    bool sensitive = false;      ///< begins a sensitive instruction
    bool may_change = true;      ///< what only sensitive instructions change must be looked at behind it: also where the finder knew no instruction
    bool dense = false;          ///< see Machine::is_dense_at
    std::uint16_t lonely = 0;    ///< of a sensitive instruction: how often in a row no other one followed within a group
    std::uint8_t reach = kGroup; ///< of a sensitive instruction: how many behind it are interpreted in search of the next one
    bool is_far = false;         ///< of a sensitive instruction: the next one is out of reach
};

/// Belongs to 32-bit code whose bytes have not changed since.
class DecodedPage {
public:
    /// The instruction that has been added at an offset of the page, null without. Holds until one is added.
    DecodedInstruction* find(std::uint32_t offset) {
        const std::uint16_t place = places_[offset];
        return place != 0 ? &instructions_[place - 1u] : nullptr;
    }
    /// The same, where the instruction before is known: mostly this one was added next.
    DecodedInstruction* find_behind(DecodedInstruction* before, std::uint32_t offset) { return before[1].offset == offset ? before + 1 : find(offset); }
    DecodedInstruction& add(std::uint32_t offset, const DecodedInstruction& instruction) {
        instructions_.back() = instruction;
        instructions_.back().offset = static_cast<std::uint16_t>(offset);
        places_[offset] = static_cast<std::uint16_t>(instructions_.size());
        instructions_.emplace_back();
        return instructions_[instructions_.size() - 2];
    }

private:
    std::array<std::uint16_t, kPageBytes> places_{};  ///< by offset: index + 1
    std::vector<DecodedInstruction> instructions_{1};  ///< and one behind them that stands nowhere
};

}  // namespace trapline::executor
