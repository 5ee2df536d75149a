// SPDX-License-Identifier: Apache-2.0
// Writes the stub of a window: templates for the sites, moved neighbours, and the way back.
#pragma once

#include "decode/decoder.h"
#include "patch/window.h"

namespace trapline::patch {

/// What a window becomes at one address.
struct WrittenStub {
    PlanStub stub;
    std::vector<MovedInstruction> moved;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> resumes;  ///< of each site that calls the VMM: number, and where control goes on then
};

/// Writes stubs. `text` renders instructions for people; it decides nothing.
class StubWriter {
public:
    StubWriter(const scan::CodeFacts& facts, decode::Witness& text) : facts_(&facts), text_(&text) {}

    /// Writes the stub for `at`. `entry_jump`: it begins with a jump to itself, which the kernel copies from here over the
    /// original of an alternative. Nothing when a displacement does not reach.
    std::optional<WrittenStub> write(const Window& window, std::uint64_t at, bool entry_jump) const;

private:
    void describe(PlanStub& stub, std::size_t from, Mode mode) const;
    bool append_item(const WindowItem& item, WrittenStub& out) const;
    const scan::CodeFacts* facts_;
    decode::Witness* text_;
};

}  // namespace trapline::patch
