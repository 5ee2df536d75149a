// SPDX-License-Identifier: Apache-2.0
// Executed sites joined with a scan and a plan, counted by hand.
#include "reports/run_tally.h"

#include <catch2/catch.hpp>

#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

TEST_CASE("executed sites are joined by address and bytes", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const RunStatistics run = tests::make_run();
    const RunTally counts = tally(run, &scan, &plan);
    REQUIRE(counts.sites.size() == 4);
    CHECK(counts.total.count == 50);
    CHECK(counts.total.nanoseconds == 1'000);

    const ExecutedSite& pushfq = counts.sites[0];
    CHECK(pushfq.standing == SiteStanding::listed);
    CHECK(pushfq.finding == &scan.findings[0]);
    CHECK(pushfq.planned == &plan.sites[0]);
    CHECK(pushfq.total.count == 40);
    CHECK(by_signal(pushfq.site->arrivals) == 30);
    CHECK(place_of(pushfq) == "native_save_fl+0x4");
    CHECK(text_of(pushfq) == "pushfq");

    // 5, 3 and 2 executions: rewritten by the guest, in no document, and code of others.
    CHECK(counts.sites[1].standing == SiteStanding::rewritten);
    CHECK(counts.sites[1].planned == nullptr);
    CHECK(place_of(counts.sites[1]).empty());
    CHECK(counts.sites[2].standing == SiteStanding::unlisted);
    CHECK(text_of(counts.sites[2]) == "cpuid");
    CHECK(counts.sites[3].standing == SiteStanding::elsewhere);
}

TEST_CASE("executions are grouped by planned technique, and what the plan lacks by standing", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const RunStatistics run = tests::make_run();
    const RunTally counts = tally(run, &scan, &plan);
    REQUIRE(counts.by_technique.size() == 1);
    const ExecutedGroup& inlined = counts.by_technique.at(Technique::inline_code);
    CHECK(inlined.sites == 1);
    CHECK(inlined.arrivals[1].count == 30);
    CHECK(inlined.arrivals[2].nanoseconds == 300);
    CHECK(inlined.total.nanoseconds == 900);
    REQUIRE(counts.not_planned.size() == 3);
    CHECK(counts.not_planned.at(SiteStanding::elsewhere).total.nanoseconds == 70);
    REQUIRE(counts.functions.size() == 1);
    CHECK(counts.functions[0].symbol == "native_save_fl");
    CHECK(counts.functions[0].total.count == 40);
}

TEST_CASE("without documents every site is one of the image or of others", "[reports]") {
    const RunStatistics run = tests::make_run();
    const RunTally counts = tally(run, nullptr, nullptr);
    CHECK(counts.not_planned.at(SiteStanding::unlisted).sites == 3);
    CHECK(counts.not_planned.at(SiteStanding::elsewhere).sites == 1);
    CHECK(counts.by_technique.empty());
    CHECK(counts.functions.empty());
}

TEST_CASE("the setup code of a bzImage is not the kernel", "[reports]") {
    ScanDocument scan = tests::make_scan();
    for (Finding& finding : scan.findings) finding.part = "stub";
    const RunStatistics run = tests::make_run();
    CHECK(tally(run, &scan, nullptr).sites[0].standing == SiteStanding::unlisted);
}

TEST_CASE("equal counts keep the order of parts and addresses", "[reports]") {
    RunStatistics run;
    run.sites = {{"payload", 2, {0xf4}, "hlt", {}}, {"other", 9, {0xf4}, "hlt", {}}, {"payload", 1, {0xf4}, "hlt", {}}};
    const RunTally counts = tally(run, nullptr, nullptr);
    CHECK(counts.sites[0].site->address == 9);
    CHECK(counts.sites[1].site->address == 1);
    CHECK(counts.sites[2].site->address == 2);
}

TEST_CASE("sums stay at the largest number", "[reports]") {
    CHECK(saturating_sum(~std::uint64_t{0} - 1, 1) == ~std::uint64_t{0});
    CHECK(saturating_sum(~std::uint64_t{0}, 1) == ~std::uint64_t{0});
    CHECK(saturating_sum(2, 3) == 5);
}
