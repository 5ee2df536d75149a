// SPDX-License-Identifier: Apache-2.0
// libFuzzer target over the reader of plans: no document may crash it or make it eat memory, and what it accepts must hold
// what reports/plan_check.h promises the rewriter. The seeds in seeds/plan/ are plans of tiny modules and executables.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reports/plan_json.h"

namespace {

using namespace trapline;

void check(const PlanDocument& plan) {
    for (const PlannedSite& site : plan.sites) {
        TRAPLINE_ASSERT(!site.patch || *site.patch < plan.patches.size(), "a site's patch is one of the plan's");
        TRAPLINE_ASSERT(!site.bytes.empty() && site.bytes.size() <= 15, "a site is one instruction");
    }
    for (const PlanPatch& patch : plan.patches) {
        for (const std::uint32_t stub : patch.stubs) TRAPLINE_ASSERT(stub < plan.stubs.size(), "a patch's stub is one of the plan's");
        TRAPLINE_ASSERT(!patch.writes.empty(), "a patch writes something");
        for (const PlanWrite& write : patch.writes)
            TRAPLINE_ASSERT(!write.old_bytes.empty() && write.old_bytes.size() == write.new_bytes.size(), "a write changes as many bytes as it finds");
    }
    const PlanStub* before = nullptr;
    for (const PlanStub& stub : plan.stubs) {
        TRAPLINE_ASSERT(before == nullptr || stub.address >= before->address + before->bytes.size(), "stubs lie apart and in order");
        before = &stub;
        for (const StubFixup& fixup : stub.fixups) TRAPLINE_ASSERT(std::uint64_t{fixup.offset} + 4 <= stub.bytes.size(), "a fixup lies inside its stub");
        for (const StubStep& step : stub.steps) TRAPLINE_ASSERT(step.offset < stub.bytes.size(), "a step begins inside its stub");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto plan = reports::parse_plan_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (!plan) {
        TRAPLINE_ASSERT(!plan.error().message.empty(), "an error says something");
        return 0;
    }
    check(*plan);
    const std::string written = reports::render_plan_json(*plan);
    const auto again = reports::parse_plan_json(written, "written");
    TRAPLINE_ASSERT(again.has_value(), "what is accepted can be written and read again");
    TRAPLINE_ASSERT(reports::render_plan_json(*again) == written, "and is the same then");
    return 0;
}
