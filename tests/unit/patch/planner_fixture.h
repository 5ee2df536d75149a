// SPDX-License-Identifier: Apache-2.0
// Plans small hand-made images under the project's own interface.
#pragma once

#include "../scan/scan_fixture.h"
#include "patch/planner.h"

namespace trapline::patch_test {

inline constexpr std::uint64_t kText64 = 0xFFFFFFFF81000000, kText32 = 0xC1000000;
/// Where executor/ABI.md puts the stubs.
inline constexpr std::uint64_t kStubs64 = 0xFFFFFFFFFFE00000, kStubs32 = 0xFC000000;

inline PlanDocument plan(const scan_test::CodeImage& code, patch::PlanOptions options = {}, const std::string& abi = "trapline") {
    const isa::Database& database = scan_test::database();
    REQUIRE(database.find_abi(abi) != nullptr);
    const auto scanned = scan::scan_with_facts(code.image, database, scan_test::tags(), {});
    patch::Planner planner(database, *database.find_abi(abi), std::move(options));
    planner.add(scanned.document, scanned.facts);
    return planner.finish("test");
}

inline const PlannedSite& site_at(const PlanDocument& plan, std::uint64_t address) {
    for (const PlannedSite& site : plan.sites)
        if (site.address == address) return site;
    FAIL("no site at " << std::hex << address);
    throw 0;
}

inline const PlanPatch& patch_of(const PlanDocument& plan, std::uint64_t address) {
    const PlannedSite& site = site_at(plan, address);
    REQUIRE(site.patch);
    return plan.patches.at(*site.patch);
}

inline const PlanStub& stub_of(const PlanDocument& plan, std::uint64_t address) {
    const PlanPatch& patch = patch_of(plan, address);
    REQUIRE_FALSE(patch.stubs.empty());
    return plan.stubs.at(patch.stubs.front());
}

/// The target of the rel32 that ends at `end` bytes of an instruction stream at `address`.
inline std::uint64_t rel32_target(const std::vector<std::uint8_t>& bytes, std::size_t end, std::uint64_t address) {
    REQUIRE(bytes.size() >= end);
    std::uint32_t field = 0;
    for (std::size_t i = 0; i < 4; ++i) field |= std::uint32_t{bytes[end - 4 + i]} << (8 * i);
    return address + end + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(field)});
}

inline bool contains(const std::vector<std::uint8_t>& bytes, const std::string& hex) {
    return to_hex(bytes).find(hex) != std::string::npos;
}

}  // namespace trapline::patch_test
