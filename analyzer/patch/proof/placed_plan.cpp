// SPDX-License-Identifier: Apache-2.0
// Relative fields in stubs are named by their fixups; those in writes are the JMP rel32 that lead to a stub of the patch.
#include "patch/proof/placed_plan.h"

#include <algorithm>
#include <utility>

#include "patch/rewrite_check.h"

namespace trapline::patch {
namespace {

std::uint32_t get32(const std::vector<std::uint8_t>& bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= std::uint32_t{bytes[at + i]} << (8 * i);
    return value;
}

void set32(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint64_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// By how much a field grows when its stub moves on.
std::uint64_t change(FixupKind kind, std::uint64_t distance) {
    switch (kind) {
        case FixupKind::image_address: return 0;
        case FixupKind::image_relative:
        case FixupKind::fixed_relative: return -distance;
        case FixupKind::stub_address: return distance;
    }
    return 0;
}

}  // namespace

PlanDocument place_stubs(PlanDocument plan, std::uint64_t distance) {
    for (PlanPatch& patch : plan.patches)
        for (PlanWrite& write : patch.writes) {
            std::vector<std::uint8_t>& bytes = write.new_bytes;
            if (is_replacement_offset(write)) {
                set32(bytes, 0, get32(bytes, 0) + distance);
                continue;
            }
            for (std::size_t at = 0; at + 5 <= bytes.size(); ++at) {
                const std::uint32_t target = static_cast<std::uint32_t>(write.address + at + 5) + get32(bytes, at + 1);
                const bool leads = bytes[at] == 0xE9 && std::any_of(patch.stubs.begin(), patch.stubs.end(), [&](std::uint32_t index) {
                    return index < plan.stubs.size() && static_cast<std::uint32_t>(plan.stubs[index].address) == target;
                });
                if (!leads) continue;
                set32(bytes, at + 1, get32(bytes, at + 1) + distance);
                at += 4;
            }
        }
    for (PlanPatch& patch : plan.patches)
        for (MovedInstruction& moved : patch.moved) moved.to += distance;
    for (PlannedSite& site : plan.sites)
        if (site.resume != 0) site.resume += distance;
    for (PlanStub& stub : plan.stubs) {
        for (const StubFixup& fixup : stub.fixups)
            if (std::uint64_t{fixup.offset} + 4 <= stub.bytes.size()) set32(stub.bytes, fixup.offset, get32(stub.bytes, fixup.offset) + change(fixup.kind, distance));
        stub.address += distance;
    }
    return plan;
}

PlanDocument place_boot_stub(PlanDocument plan, std::uint64_t distance) {
    std::vector<bool> moved(plan.stubs.size());
    for (std::size_t i = 0; i < plan.stubs.size(); ++i) {
        PlanStub& stub = plan.stubs[i];
        if (!(moved[i] = is_boot_stub(plan, stub))) continue;
        for (StubStep& step : stub.steps) step.guest_address += distance;
    }
    for (std::size_t i = 0; i < plan.stubs.size(); ++i)
        if (moved[i]) plan.stubs[i].address += distance;
    for (ReservedRange& range : plan.reserved)
        if (range.what == kBootStubRange) range = {range.begin + distance, range.end + distance, range.what};
    for (PlanPatch& patch : plan.patches) {
        if (patch.part != kStubPart) continue;
        patch.begin += distance;
        patch.end += distance;
        for (PlanWrite& write : patch.writes) write.address += distance;
        for (MovedInstruction& one : patch.moved) one = {one.from + distance, one.to + distance, std::move(one.bytes), std::move(one.text)};
    }
    for (PlannedSite& site : plan.sites) {
        if (site.part != kStubPart) continue;
        site.address += distance;
        if (site.resume != 0) site.resume += distance;
    }
    return plan;
}

}  // namespace trapline::patch
