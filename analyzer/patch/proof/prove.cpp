// SPDX-License-Identifier: Apache-2.0
// Rounds of random states over one window.
#include "patch/proof/prove.h"

#include <fmt/format.h>

#include <algorithm>

#include "patch/proof/compare.h"
#include "patch/proof/window_builder.h"

namespace trapline::patch::proof {
namespace {

/// A round whose state is outside the contract is tried again from another one, this often at most.
constexpr unsigned kMostTries = 4;

/// What the steps promise without running: their order and that instructions begin there.
std::string check_steps(Window& window) {
    for (std::size_t i = 0; i < window.steps.size(); ++i) {
        const MapStep& step = window.steps[i];
        if (!window.is_stub(step.address)) return fmt::format("the map has a step at {:#x}, outside the stub", step.address);
        if (i > 0 && window.steps[i - 1].address >= step.address) return fmt::format("the map has two steps at {:#x}", step.address);
    }
    const Layout& layout = *window.layout;
    for (const AddressRange& stub : window.stubs) {
        std::vector<std::uint64_t> starts;
        Mode mode = layout.mode;
        for (std::uint64_t at = stub.begin.value; at < stub.end.value;) {
            const Instruction& insn = window.patched.at(at, mode);
            if (!insn.valid()) return fmt::format("the stub has no instruction at {:#x}", at);
            if (mode == layout.mode) starts.push_back(at);
            // A 32-bit guest's hypercall is 64-bit code between a far jump and the jump to the gate.
            if (insn.action == Action::far_jump && static_cast<std::uint32_t>(insn.immediate()) != layout.gate) mode = Mode::long64;
            else if (insn.action == Action::jump && insn.flow.target->value == layout.gate) mode = layout.mode;
            at = insn.next;
        }
        for (const MapStep& step : window.steps)
            if (stub.contains(VirtAddr{step.address}) && !std::binary_search(starts.begin(), starts.end(), step.address))
                return fmt::format("the map has a step at {:#x}, where no instruction of the guest's width begins", step.address);
    }
    return {};
}

struct Asked {
    bool equivalence = true, map = true;
};

Proof prove(Window& window, const ProofOptions& options, Asked asked) {
    Proof proof;
    if (asked.map) proof.difference = check_steps(window);
    if (!proof.difference.empty()) return proof;
    for (const std::uint64_t entry : window.entries) {
        unsigned said = 0;
        for (unsigned round = 0; said < options.rounds && round < kMostTries * options.rounds; ++round) {
            // The low bits of `round` choose among combinations, all of which must come up among those that count.
            const Start start = make_start(window, entry, mix(options.seed, round - said), said);
            const Run original = run_original(window, start);
            if (original.outside_contract) continue;
            ++said;
            const Run patched = run_patched(window, start);
            if (asked.equivalence) proof.difference = find_difference(window, original, patched);
            if (proof.difference.empty() && asked.map) proof.difference = find_map_difference(window, original, patched);
            if (proof.difference.empty()) continue;
            proof.rounds += said;
            proof.report = describe_difference(window, start, proof.difference);
            return proof;
        }
        if (said == 0) {
            proof.difference = fmt::format("no state was found in which the code at {:#x} stays out of the VMM's pages", entry);
            return proof;
        }
        proof.rounds += said;
    }
    proof.holds = true;
    return proof;
}

}  // namespace

Proof prove_equivalence(Window& window, const ProofOptions& options) { return prove(window, options, {true, false}); }
Proof prove_map(Window& window, const ProofOptions& options) { return prove(window, options, {false, true}); }
Proof prove_window(Window& window, const ProofOptions& options) { return prove(window, options, {true, true}); }

Proof prove_patch(const PlanDocument& plan, std::size_t index, const CodeReader& reader, const isa::Abi& abi, const ProofOptions& options) {
    const WindowBuilder builder(plan, reader, abi);
    auto window = builder.build(index);
    if (!window) {
        Proof proof;
        proof.difference = window.error().describe();
        return proof;
    }
    return prove_window(*window, options);
}

}  // namespace trapline::patch::proof
