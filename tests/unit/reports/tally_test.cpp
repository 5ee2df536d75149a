// SPDX-License-Identifier: Apache-2.0
// Counts worked out by hand from the sample documents.
#include <catch2/catch.hpp>

#include "reports/sets_figure.h"
#include "reports/tally.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

// Worked out by hand from the five findings of make_scan.
TEST_CASE("the sets of the sample are counted by region", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const Tally counts = tally(scan);
    CHECK(counts.sets.privileged.sites == 2);  // wrmsr, and in because the profile sets IOPL
    CHECK(counts.sets.control.sites == 2);     // popfq, wrmsr
    CHECK(counts.sets.behavior.sites == 4);    // all but wrmsr
    CHECK(counts.sets.critical.sites == 3);    // pushfq, popfq, sgdt
    CHECK(counts.sets.critical.forms == 3);
    CHECK(counts.sets.regions[kBehaviorSet].sites == 2);
    CHECK(counts.sets.regions[kControlSet | kBehaviorSet].sites == 1);
    CHECK(counts.sets.regions[kPrivilegedSet | kControlSet].sites == 1);
    CHECK(counts.sets.regions[kPrivilegedSet | kBehaviorSet].sites == 1);
    CHECK(counts.sets.regions[0].sites == 0);
    CHECK(counts.critical.reached == 1);
    CHECK(counts.critical.swept == 1);
    CHECK(counts.critical.hidden == 1);
    CHECK(counts.conditional.at("CR4.UMIP") == 1);
    CHECK(counts.conditional_covered == 1);
    CHECK(counts.contexts.at("init") == 1);
    REQUIRE(counts.functions.size() == 1);
    CHECK(counts.functions[0].critical == 3);
    CHECK(counts.functions[0].findings == 5);
    REQUIRE(counts.disagreements.size() == 2);
    CHECK(counts.disagreements[0].reason.empty());  // unexplained ones come first
}

TEST_CASE("the regions of the sets add up to the sets", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const SetRegions sets = tally(scan).sets;
    std::uint64_t critical = 0, all = 0;
    for (unsigned region = 0; region < 8; ++region) {
        all += sets.regions[region].sites;
        if ((region & kPrivilegedSet) == 0 && region != 0) critical += sets.regions[region].sites;
    }
    CHECK(all == scan.findings.size());
    CHECK(critical == sets.critical.sites);
}

TEST_CASE("a site that is conditional and not sensitive is in no set", "[reports]") {
    ScanDocument scan;
    scan.findings.push_back(tests::make_finding(0x10, "rdpkru", "cond:CR4.PKE", false, "no", false));
    const Tally counts = tally(scan);
    CHECK(counts.sets.regions[0].sites == 1);
    CHECK(counts.sets.privileged.sites == 0);
}

TEST_CASE("parts of a bzImage keep their sections and functions apart", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.sections = {{"setup", ".text", 0, 0x4000, 0, 0, 0, 0, 0}, {"payload", ".text", 0xffffffff81000000u, 0x1000, 0, 0, 0, 0, 0}};
    for (Finding& finding : scan.findings) finding.part = "payload";
    scan.findings[0].part = "setup";
    scan.findings[0].address = 0x100;
    const Tally counts = tally(scan);
    CHECK(counts.sections[0].findings == 1);
    CHECK(counts.sections[1].findings == 4);
    REQUIRE(counts.functions.size() == 2);
    CHECK(counts.functions[0].section == "payload:.text");
    CHECK(counts.functions[1].section == "setup:.text");
}

TEST_CASE("the picture of the sets bears the counts of every region", "[reports]") {
    SetRegions sets;
    for (unsigned region = 1; region < 8; ++region) sets.regions[region] = {1000 + region, 10 + region};
    sets.critical = {7777, 66};
    const std::string svg = render_sets_figure(sets, "umip");
    for (const char* text : {">1,001<", ">1,002<", ">1,003<", ">1,004<", ">1,005<", ">1,006<", ">1,007<", ">11 forms<", ">17 forms<", "7,777 sites / 66 forms"}) {
        INFO(text);
        CHECK(svg.find(text) != std::string::npos);
    }
}

TEST_CASE("what a plan leaves is grouped by form and reason", "[reports]") {
    PlanDocument plan = tests::make_plan(tests::make_scan());
    plan.sites.push_back(plan.sites.back());
    const PlanTally counts = tally(plan);
    REQUIRE(counts.left.size() == 1);
    CHECK(counts.left[0].sites == 2);
    CHECK(counts.left_critical == 2);
    CHECK(counts.left[0].example->address == 0xffffffff81000050u);
}
