// SPDX-License-Identifier: Apache-2.0
// The host's segment descriptors that stand for the guest's: its own flat ones where they fit, else entries of the local
// descriptor table, found again by what they describe.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "executor/cpu/vcpu.h"
#include "support/error.h"

namespace trapline::executor {

class HostSegments {
public:
    /// The host's selector for a segment register of the guest. `end` is the first linear address out of reach (in guest user mode
    /// where the guest's kernel begins, else 4 GiB): flat segments end there. Null and unusable segments give 0. A selector stays good while
    /// fewer than 48 others are asked for: long enough for the six registers of one entry.
    std::uint16_t selector(const Segment& segment, std::uint64_t end);
    /// As above for CS where the end is not to be looked at while code is fetched. Data behind it cannot be read through it either.
    std::uint16_t whole_code_selector(const Segment& segment, std::uint64_t end);
    /// True when `selector` last failed because the host refused an entry; the guest cannot go on.
    bool refused() const { return refused_; }

private:
    struct Entry {
        std::uint32_t base = 0, limit = 0;
        std::uint16_t kind = 0xFFFF;
        std::uint64_t last_use = 0;
    };
    std::uint16_t find(const Segment& segment, std::uint32_t limit, bool hides_data);
    std::uint16_t slot(std::uint32_t base, std::uint32_t limit, std::uint16_t kind);

    std::vector<Entry> entries_;
    std::array<std::size_t, 32> guesses_{};  ///< by what is asked for: where it was found last
    std::uint64_t uses_ = 0;
    bool refused_ = false;
};

}  // namespace trapline::executor
