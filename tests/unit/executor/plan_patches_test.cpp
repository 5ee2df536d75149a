// SPDX-License-Identifier: Apache-2.0
// A plan of two patches, written by hand, as the machine uses it.
#include "executor/hypercall/plan_patches.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace trapline::executor::test {
namespace {

constexpr std::uint32_t kPage = 0xC1000;

PlanDocument small_plan() {
    PlanDocument plan;
    plan.abi = "trapline";
    plan.abi_version = "1.0";
    plan.parts.push_back({});
    plan.stubs.push_back({.address = 0xFC000000, .assembly = {}, .bytes = std::vector<std::uint8_t>(0x20, 0x90),
                          .steps = {{0, 0xC1000100}, {8, 0xC1000101}, {0x10, 0xC1000105}}, .fixups = {}});
    PlanPatch patch;
    patch.technique = Technique::absorb;
    patch.begin = 0xC1000100;
    patch.end = 0xC1000105;
    patch.writes.push_back({.section = ".text", .address = 0xC1000100, .file_offset = 0, .old_bytes = {0xFA, 0x0F, 0xB2, 0x24, 0x24}, .new_bytes = {0xE9, 1, 2, 3, 4}, .what = "jump"});
    patch.stubs = {0};
    plan.patches.push_back(patch);
    PlanPatch across = patch;  // its bytes lie on two pages
    across.begin = 0xC1001FFE;
    across.end = 0xC1002003;
    across.writes[0].address = 0xC1001FFE;
    plan.patches.push_back(across);
    PlannedSite site;
    site.address = 0xC1000101;
    site.bytes = {0x0F, 0xB2, 0x24, 0x24};
    site.operation = "set_segment";
    site.resume = 0xFC000010;
    site.patch = 0;
    plan.sites.push_back(site);
    site.address = 0xC1001FFE;
    site.patch = 1;
    plan.sites.push_back(site);
    return plan;
}

std::vector<std::uint8_t> page_with(std::initializer_list<std::uint8_t> code) {
    std::vector<std::uint8_t> page(kPageBytes, 0x90);
    std::copy(code.begin(), code.end(), page.begin() + 0x100);
    return page;
}

}  // namespace

TEST_CASE("plan patches: a boot stub's patches and stubs are not the kernel's", "[plan_patches]") {
    PlanDocument plan = small_plan();
    plan.parts.front().part = "stub";
    plan.parts.push_back({});
    plan.parts.back().part = "payload";
    for (PlanPatch& patch : plan.patches) patch.part = "payload";
    for (PlannedSite& site : plan.sites) site.part = "payload";
    PlanStub stub = plan.stubs[0];
    stub.address = 0x560BF0;  // counted from the beginning of its part
    PlanPatch patch = plan.patches[0];
    patch.part = "stub";
    patch.begin = patch.writes[0].address = 0x25;
    patch.end = 0x2A;
    patch.stubs = {1};
    plan.stubs.push_back(stub);
    plan.patches.push_back(patch);
    PlannedSite site = plan.sites[0];
    site.part = "stub";
    site.address = 0x26;
    site.patch = 2;
    site.resume = 0x560C00;
    plan.sites.push_back(site);
    auto patches = PlanPatches::create(plan);
    REQUIRE(patches.has_value());
    CHECK(patches->stubs_begin() == 0xFC000000);
    CHECK_FALSE(patches->locate(0x560C00));
    CHECK(patches->pages() == std::vector<std::uint32_t>{kPage});
    CHECK(patches->overlays(0, page_with({0xFA, 0x0F, 0xB2, 0x24, 0x24})).empty());
}

TEST_CASE("plan patches: laid over a page that holds what the plan expects", "[plan_patches]") {
    auto plan = PlanPatches::create(small_plan());
    REQUIRE(plan.has_value());
    const auto expected = page_with({0xFA, 0x0F, 0xB2, 0x24, 0x24}), other = page_with({0xFA, 0x0F, 0xB2, 0x24, 0x25});
    const auto found = plan->overlays(kPage, expected);
    REQUIRE(found.size() == 1);
    CHECK(found[0]->offset == 0x100);
    CHECK(found[0]->bytes == std::vector<std::uint8_t>{0xE9, 1, 2, 3, 4});
    CHECK(found[0]->window_begin == 0x100);
    CHECK(found[0]->window_end == 0x105);
    CHECK(plan->overlays(kPage, other).empty());
    CHECK(plan->overlays(kPage + 1, expected).empty());
    CHECK(plan->pages() == std::vector<std::uint32_t>{kPage});  // the patch across two pages is left out
}

TEST_CASE("plan patches: an address in a stub stands for one of the guest's", "[plan_patches]") {
    auto plan = PlanPatches::create(small_plan());
    REQUIRE(plan.has_value());
    const auto at = [&](std::uint32_t address) { return plan->locate(address); };
    CHECK_FALSE(at(0xFBFFFFFF).has_value());
    CHECK_FALSE(at(0xFC000020).has_value());
    CHECK((at(0xFC000000)->guest == 0xC1000100 && at(0xFC000000)->exact && at(0xFC000000)->next == 0xC1000101));
    CHECK((at(0xFC000009)->guest == 0xC1000101 && !at(0xFC000009)->exact && at(0xFC000009)->next == 0xC1000105));
    CHECK((at(0xFC000010)->guest == 0xC1000105 && at(0xFC000010)->exact && at(0xFC000010)->next == 0));
    CHECK(plan->site(0)->resume == 0xFC000010);
    CHECK(plan->site(1)->resume == 0);  // what stands there is not behind the instruction
    CHECK(plan->site(2) == nullptr);
}

TEST_CASE("plan patches: hot sites get theirs", "[plan_patches]") {
    auto plan = PlanPatches::create(small_plan());
    REQUIRE(plan.has_value());
    const auto page = page_with({0xFA, 0x0F, 0xB2, 0x24, 0x24});
    plan->set_all(false);
    CHECK(plan->overlays(kPage, page).empty());
    CHECK_FALSE(plan->count_execution(0xC1000101, 2).has_value());
    CHECK(plan->count_execution(0xC1000101, 2) == kPage);
    CHECK_FALSE(plan->count_execution(0xC1000101, 2).has_value());  // it is on
    CHECK(plan->overlays(kPage, page).size() == 1);
    CHECK_FALSE(plan->count_execution(0xC1000777, 1).has_value());
}

TEST_CASE("plan patches: as bytes and back, and no truncation is taken", "[plan_patches]") {
    auto plan = PlanPatches::create(small_plan());
    REQUIRE(plan.has_value());
    const std::vector<std::uint8_t> bytes = plan->encode();
    auto back = PlanPatches::decode(bytes);
    REQUIRE(back.has_value());
    CHECK(back->encode() == bytes);
    CHECK(back->overlays(kPage, page_with({0xFA, 0x0F, 0xB2, 0x24, 0x24})).size() == 1);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(PlanPatches::decode(std::span(bytes).first(size)).has_value());
    std::vector<std::uint8_t> longer = bytes;
    longer.push_back(0);
    CHECK_FALSE(PlanPatches::decode(longer).has_value());
}

TEST_CASE("plan patches: another interface is refused", "[plan_patches]") {
    PlanDocument plan = small_plan();
    plan.abi_version = "2.0";
    CHECK(PlanPatches::create(plan).error().code == ErrorCode::inconsistent);
    plan = small_plan();
    plan.abi = "xen-pv";
    CHECK(PlanPatches::create(plan).error().code == ErrorCode::inconsistent);
    plan = small_plan();
    plan.stubs[0].address = 0xFDFFFFF0;
    CHECK(PlanPatches::create(plan).error().code == ErrorCode::inconsistent);
}

}  // namespace trapline::executor::test
