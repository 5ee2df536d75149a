// SPDX-License-Identifier: Apache-2.0
// The distance to a port in words: what is counted, what is named, and that nothing of hostile origin survives.
#include <catch2/catch.hpp>

#include "reports/abi_distance_text.h"
#include "reports/summary.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

AbiDistance make_distance() {
    AbiDistance distance;
    distance.abi = "xen-pv";
    distance.name = "Xen PV";
    distance.version = "4.17";
    distance.rows = {{"interrupts_off", "exact", "vcpu_info.evtchn_upcall_mask", "", 2, 400}, {"get_flags", "partial", "mask", "IF is elsewhere.", 480, 0},
                     {"set_flags", "partial", "mask", "IF is elsewhere.", 20, 0},        {"swap_gs", "unneeded", "", "Xen does it.", 0, 7},
                     {"store_descriptor_table", "none", "", "It shows Xen's <tables>.", 13, 0}};
    distance.skipped_parts = {"setup", "stub"};
    distance.skipped_sites = 1234;
    return distance;
}

bool contains(const std::string& text, const std::string& words) {
    UNSCOPED_INFO(text);
    return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("distance: heading, totals and gaps", "[reports]") {
    const AbiDistance distance = make_distance();
    CHECK(distance_heading(distance) == "Distance to a Xen PV port (xen-pv 4.17): 922 sites");
    const auto totals = distance_totals(distance);
    REQUIRE(totals.size() == 5);
    CHECK(totals[0].label == "exact");
    CHECK(totals[0].count == 402);
    CHECK(contains(totals[0].remark, "2 critical"));
    CHECK(totals[1].count == 500);
    CHECK(contains(totals[1].remark, "get_flags 480, set_flags 20"));
    CHECK(totals[3].count == 13);
    CHECK(totals[4].count == 1234);
    CHECK(contains(totals[4].remark, "setup and stub"));
    const auto gaps = distance_gaps(distance);
    REQUIRE(gaps.size() == 1);
    CHECK(gaps[0].label == "store_descriptor_table");
    CHECK(gaps[0].count == 13);
}

TEST_CASE("distance: the summary has a section of it when it is asked for", "[reports]") {
    const AbiDistance distance = make_distance();
    SummaryOptions options;
    CHECK_FALSE(contains(render_summary(ScanDocument{}, nullptr, options), "Distance"));
    options.distance = &distance;
    const std::string text = render_summary(ScanDocument{}, nullptr, options);
    CHECK(contains(text, "Distance to a Xen PV port (xen-pv 4.17): 922 sites"));
    CHECK(contains(text, "store_descriptor_table"));
    CHECK(contains(text, "It shows Xen's <tables>."));
}

TEST_CASE("distance: the table escapes what it is given", "[reports]") {
    AbiDistance distance = make_distance();
    distance.rows[0].operation = tests::kHostileName;
    distance.rows[4].note = tests::kHostileName;
    distance.name = tests::kHostileName;
    const std::string html = render_distance_html(distance);
    CHECK_FALSE(contains(html, "<img"));
    CHECK_FALSE(contains(html, "</script"));
    for (const DistanceLine& line : distance_totals(distance)) CHECK_FALSE(contains(line.remark, "\x1b"));
    for (const DistanceLine& line : distance_gaps(distance)) CHECK_FALSE(contains(line.remark, "\x1b"));
}
