// SPDX-License-Identifier: Apache-2.0
// Turns a draft into bytes: its stubs, and what is written over the image.
#pragma once

#include "patch/stub_writer.h"
#include "patch/tactics/tactic.h"

namespace trapline::patch {

struct WrittenDraft {
    PlanPatch patch;                   ///< without part and stub indexes
    std::vector<PlanStub> stubs;       ///< in the order of PlanPatch::stubs, by address
    std::vector<std::pair<std::uint32_t, std::uint64_t>> resumes;  ///< of each site that calls the VMM: number, address
};

/// Writes the drafts of one image.
class DraftWriter {
public:
    DraftWriter(const scan::CodeFacts& facts, decode::Witness& text, const isa::Abi& abi) : facts_(facts), stubs_(facts, text), abi_(&abi) {}

    /// Writes a draft with its stubs from `next` on. Fails with the reason, one clause, when a displacement does not reach
    /// or the stub area is full; nothing remains of it then.
    tl::expected<WrittenDraft, std::string> write(const Draft& draft, std::uint64_t next) const;

private:
    struct Job;
    const scan::CodeFacts& facts_;
    StubWriter stubs_;
    const isa::Abi* abi_;
};

}  // namespace trapline::patch
