// SPDX-License-Identifier: Apache-2.0
// The blocks that show a run; figures are worked out by hand from the sample.
#include "reports/run_blocks.h"

#include <catch2/catch.hpp>

#include "reports/event_names.h"
#include "reports/run_ways.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

void check_parts(const std::string& html, std::initializer_list<const char*> parts) {
    for (const char* part : parts) {
        INFO(part << "\n" << html);
        CHECK(html.find(part) != std::string::npos);
    }
}

}  // namespace

TEST_CASE("wall time is split, and what nobody measured is said", "[reports]") {
    // 10,000 ns: 3,000 guest, 1,000 monitor, 5,000 idle; 1,000 are left. Busy are 5,000.
    const std::string html = render_run_time(tests::make_run());
    check_parts(html, {"guest 3.00 \u00b5s, monitor 1.00 \u00b5s, idle 5.00 \u00b5s, not told apart 1.00 \u00b5s", "class=\"guest-time\" style=\"width:30.00%\"",
                       "class=\"monitor-time\" style=\"width:10.00%\"", "class=\"idle-time\" style=\"width:50.00%\"", "class=\"rest-time\" style=\"width:10.00%\"",
                       "class=\"guest-time\" style=\"width:60.00%\"", "<td class=\"number\">5.00 \u00b5s</td>"});
}

TEST_CASE("parts that are more than the whole are shown to their own sum", "[reports]") {
    RunStatistics run = tests::make_run();
    run.wall = 1;  // a document may say so
    check_parts(render_run_time(run), {"class=\"guest-time\" style=\"width:33.33%\""});
}

TEST_CASE("the ways have counts, times and the mean of an arrival", "[reports]") {
    const std::string html = render_run_ways(tests::make_run());
    // 30 of 50 by breakpoint in 600 of 1,000 ns, 20 ns each; all: 45 arrivals were timed, 22 ns each.
    check_parts(html, {"breakpoint</th><td class=\"number\">30</td><td class=\"number\">60.0 %</td><td class=\"number\">600 ns</td><td class=\"number\">60.0 %</td><td class=\"number\">20 ns</td>",
                       "interpreted</th><td class=\"number\">5</td><td class=\"number\">10.0 %</td><td class=\"number\">0 ns</td><td class=\"number\">0.0 %</td><td class=\"number\"></td>",
                       "all</th><td class=\"number\">50</td>", "<td class=\"number\">22 ns</td>"});
}

TEST_CASE("mnemonics are ordered by count and by time", "[reports]") {
    const std::string html = render_run_mnemonics(tests::make_run());
    const auto times = html.find("Time in the monitor</h4>");
    REQUIRE(times != std::string::npos);
    // By count: pushfq 40, popfq 5, cpuid 3, hlt 2. By time: pushfq 900, hlt 70, cpuid 30; popfq has none.
    CHECK(html.find("popfq") < html.find("cpuid"));
    CHECK(html.find("hlt", times) < html.find("cpuid", times));
    CHECK(html.find("popfq", times) == std::string::npos);
    check_parts(html, {"breakpoint 30, hypercall 10", "breakpoint 600 ns, hypercall 300 ns", "class=\"breakpoint-way\" style=\"width:75.00%\""});
}

TEST_CASE("a plan beside a run: what came by signals all the same, and what it lacks", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    PlanDocument plan = tests::make_patched_plan(scan);
    const RunStatistics run = tests::make_run();
    const std::string html = render_run_plan(run, tally(run, &scan, &plan), plan);
    // 30 signals at pushfq, each 6,650 - 12.5 cycles too many: 199,125.
    check_parts(html, {"<td class=\"number\">30</td><td class=\"number\">199,125</td>", "has a patch, which was not in force", "3 sites with 10 executions, 20.0 % of all",
                       "other bytes than the image&#39;s", "not in the plan: code of others"});
}

TEST_CASE("a planned site without a patch says the plan's reason and the refusals", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    PlanDocument plan = tests::make_plan(scan);
    plan.sites[0].technique = Technique::trap;
    plan.sites[0].refused = {{Technique::direct, "1 byte holds no jump"}};
    const RunStatistics run = tests::make_run();
    check_parts(render_run_plan(run, tally(run, &scan, &plan), plan), {"It is so. direct: 1 byte holds no jump."});
}

TEST_CASE("events are ordered by count and named by the manuals", "[reports]") {
    const std::string html = render_run_events(tests::make_run());
    CHECK(html.find("48 (30h)") < html.find("14 (0Eh)"));
    check_parts(html, {"#PF page fault", "interrupt, line 0 in Linux", "INT 80h, system call in Linux"});
}

TEST_CASE("vectors have the names of SDM volume 3, table 6-1", "[reports]") {
    CHECK(event_name(0, "") == "#DE divide error");
    CHECK(event_name(2, "") == "NMI");
    CHECK(event_name(8, "") == "#DF double fault");
    CHECK(event_name(13, "Linux") == "#GP general protection");
    CHECK(event_name(17, "") == "#AC alignment check");
    CHECK(event_name(21, "") == "#CP control protection");
    CHECK(event_name(31, "") == "reserved");
    CHECK(event_name(32, "") == "interrupt");
    CHECK(event_name(48, "Multiboot 1") == "interrupt");
    CHECK(event_name(63, "Linux boot protocol") == "interrupt, line 15 in Linux");
    CHECK(event_name(64, "Linux boot protocol") == "interrupt");
    CHECK(event_name(255, "Linux boot protocol") == "interrupt");
}

TEST_CASE("counters stand beside their meaning, and the host's limits are told", "[reports]") {
    RunStatistics run = tests::make_run();
    check_parts(render_run_machine(run), {"<code>flushes</code></th><td class=\"number\">18</td>", "<dd>none</dd>", "<dt>Ended by the host</dt><dd>no</dd>"});
    run.mmu[3].second = 4;
    run.ending = "host-limit";
    run.detail = "no mapping <left>";
    run.host = {1'500, 65'530, 2, 400'000'000};
    check_parts(render_run_machine(run), {"<dt>Mappings that the host refused</dt><dd>4</dd>", "no mapping &lt;left&gt;", "1,500 of 65,530, 2.3 %", "2 times: raise vm.max_map_count", "400.0 MB"});
}

TEST_CASE("several runs stand side by side to one scale", "[reports]") {
    const RunStatistics first = tests::make_run();
    RunStatistics second = first;
    second.technique = "trap";
    second.wall = 20'000;
    second.idle = 15'000;
    const std::string html = render_run_comparison({{"a.json", &first}, {"b.json", &second}});
    // 3,000 of 20,000 in both.
    CHECK(html.find("class=\"guest-time\" style=\"width:15.00%\"") != html.rfind("class=\"guest-time\" style=\"width:15.00%\""));
    check_parts(html, {"<a href=\"#run-2\">2</a>", "b.json", "class=\"idle-time\" style=\"width:75.00%\""});
}

TEST_CASE("what was interpreted has no time of its own", "[reports]") {
    CHECK(each_arrival({{{}, {}, {}, {5, 0}}}).empty());
    CHECK(each_arrival({{{2, 100}, {}, {}, {98, 0}}}) == "50 ns");
}
