// SPDX-License-Identifier: Apache-2.0
// What the page holds, what it never loads, and what hostile names cannot add to it.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "reports/report_html.h"
#include "reports/template.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

std::size_t occurrences(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

std::string embedded_data(const std::string& html) {
    const std::string open = "id=\"data\">";
    const auto begin = html.find(open) + open.size();
    return html.substr(begin, html.find("</script>", begin) - begin);
}

}  // namespace

TEST_CASE("a hostile image adds no element, script or place to the report", "[reports]") {
    const ScanDocument clean = tests::make_scan(), hostile = tests::make_hostile_scan();
    const PlanDocument clean_plan = tests::make_plan(clean), hostile_plan = tests::make_plan(hostile);
    const std::string expected = render_report_html({&clean, &clean_plan, {}}, {"verdict", {{"name", "value"}}});
    const std::string html = render_report_html({&hostile, &hostile_plan, {}}, {tests::kHostileName, {{tests::kHostileName, tests::kHostileName}}});
    CHECK(occurrences(html, "<script") == occurrences(expected, "<script"));
    CHECK(occurrences(html, "</script") == occurrences(expected, "</script"));
    CHECK(occurrences(html, "<img") == 0);
    // A place of the template inside a name stays text: the script is there once.
    CHECK(occurrences(html, "\"use strict\"") == 1);
    CHECK(html.find('\x1b') == std::string::npos);
    CHECK(html.find("\xe2\x80\xae") == std::string::npos);
    CHECK(html.find('\xff') == std::string::npos);
}

TEST_CASE("the report loads nothing from elsewhere", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const std::string html = render_report_html({&scan, nullptr, {}}, {});
    CHECK(occurrences(html, " src=") == 0);
    CHECK(occurrences(html, "<link") == 0);
    CHECK(occurrences(html, "@import") == 0);
    CHECK(occurrences(html, "url(") == 0);
    // The one address with a scheme is the SVG namespace, which names and is not fetched.
    CHECK(occurrences(html, "http") == occurrences(html, "http://www.w3.org/2000/svg") + occurrences(html, "http-equiv"));
    CHECK(html.find("default-src 'none'") != std::string::npos);
}

TEST_CASE("the embedded data are the findings, with their plan", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const auto data = nlohmann::json::parse(embedded_data(render_report_html({&scan, &plan, {}}, {})));
    REQUIRE(data["sites"].size() == 5);
    const auto text = [&](std::size_t site, std::size_t field) { return data["strings"][data["sites"][site][field].get<std::size_t>()].get<std::string>(); };
    CHECK(data["sites"][4][0] == "ffffffff81000050");
    CHECK(text(4, 7) == "sgdt");
    CHECK(text(4, 9) == "cond:CR4.UMIP");
    CHECK(text(4, 15) == "unplanned");
    CHECK(text(2, 13) == "arch/x86/kernel/msr.c:42");
    CHECK(data["functions"][0][2] == 3);
}

TEST_CASE("the report shows the verdict, the sets and the facts", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const std::string html = render_report_html({&scan, &plan, {}}, {"Theorem 1: not met.\n\nTheorem 3: not met.", {{"Kernel release", "6.1.0-50"}}});
    for (const char* part : {"<p>Theorem 1: not met.</p>", "<p>Theorem 3: not met.</p>", "<dt>Kernel release</dt><dd>6.1.0-50</dd>", "<svg class=\"sets\"", "3 sites / 3 forms",
                             "unexplained", "alternative-replacement", "deb \xE2\x86\x92 xz \xE2\x86\x92 bzimage \xE2\x86\x92 xz"}) {
        INFO(part);
        CHECK(html.find(part) != std::string::npos);
    }
    CHECK(html.find("{{") == std::string::npos);
}

TEST_CASE("an empty scan without a plan has a report", "[reports]") {
    const ScanDocument scan;
    const std::string html = render_report_html({&scan, nullptr, {}}, {});
    CHECK(html.find("No critical site.") != std::string::npos);
    CHECK(html.find("No plan was made.") != std::string::npos);
    CHECK(nlohmann::json::parse(embedded_data(html))["sites"].empty());
}

TEST_CASE("the same documents give the same report", "[reports]") {
    ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const std::string before = render_report_html({&scan, &plan, {}}, {});
    scan.seconds = 3;
    CHECK(render_report_html({&scan, &plan, {}}, {}) == before);
}

TEST_CASE("a plan alone has a report of its sites, and does not say what it does not know", "[reports]") {
    const PlanDocument plan = tests::make_patched_plan(tests::make_scan());
    const std::string html = render_report_html({nullptr, &plan, {}}, {});
    CHECK(html.find("<title>linux.deb!boot/vmlinuz-6.1!payload \u00b7 Trapline plan</title>") != std::string::npos);
    CHECK(html.find("<b>3</b><span>of them critical</span>") != std::string::npos);
    CHECK(html.find("stubs 0xffffffffffe00000 to 0xffffffffffff0000") != std::string::npos);
    CHECK(html.find("made by hand") != std::string::npos);
    CHECK(html.find("Popek-Goldberg sets") == std::string::npos);
    const auto data = nlohmann::json::parse(embedded_data(html));
    REQUIRE(data["sites"].size() == 5);
    CHECK(data["sites"][0][10] == 33);  // critical, and how sensitive is unknown
    CHECK(data["runs"].empty());
}

TEST_CASE("a run alone has a report without sites of an image", "[reports]") {
    const RunStatistics run = tests::make_run();
    const std::string html = render_report_html({nullptr, nullptr, {{"stats.json", &run}}}, {});
    CHECK(html.find("Trapline run \u00b7 technique auto") != std::string::npos);
    CHECK(html.find("id=\"site-table\"") == std::string::npos);
    CHECK(html.find("id=\"run-1-site-table\"") != std::string::npos);
    CHECK(html.find("The plan and the run") == std::string::npos);
    CHECK(html.find("{{") == std::string::npos);
    const auto data = nlohmann::json::parse(embedded_data(html));
    CHECK(data["sites"].empty());
    REQUIRE(data["runs"].size() == 1);
    REQUIRE(data["runs"][0].size() == 4);
    CHECK(data["runs"][0][0][0] == "ffffffff81000010");
    CHECK(data["runs"][0][0][8] == 30);
    CHECK(data["runs"][0][0][9] == 600);
}

TEST_CASE("beside a scan and a plan the executed sites have names, and the sites executions", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const RunStatistics run = tests::make_run();
    const std::string html = render_report_html({&scan, &plan, {{"a.json", &run}, {"b.json", &run}}}, {});
    CHECK(html.find("Trapline report \u00b7 profile base") != std::string::npos);
    for (const char* part : {"Run 1: The plan and the run", "Run 2: The hottest sites", "native_save_fl+0x4", "<a href=\"#run-2\">Run 2</a>", "b.json"}) {
        INFO(part);
        CHECK(html.find(part) != std::string::npos);
    }
    const auto data = nlohmann::json::parse(embedded_data(html));
    REQUIRE(data["runs"].size() == 2);
    CHECK(data["sites"][0][17] == 80);  // pushfq, 40 in each run
    CHECK(data["sites"][1][17] == 0);   // popfq ran with other bytes
}

TEST_CASE("a hostile run adds no element, script or place to the report", "[reports]") {
    const RunStatistics clean = tests::make_run();
    RunStatistics hostile = clean;
    hostile.image = hostile.protocol = hostile.command_line = hostile.detail = tests::kHostileName;
    for (RunMnemonic& one : hostile.mnemonics) one.mnemonic = tests::kHostileName;
    for (RunSite& site : hostile.sites) site.mnemonic = tests::kHostileName;
    // The largest numbers that a document can hold: sums stay at them.
    hostile.wall = hostile.guest = hostile.monitor = hostile.idle = ~std::uint64_t{0};
    for (RunSite& site : hostile.sites) site.arrivals[0] = {~std::uint64_t{0}, ~std::uint64_t{0}};
    const std::string expected = render_report_html({nullptr, nullptr, {{"a", &clean}}}, {});
    const std::string html = render_report_html({nullptr, nullptr, {{tests::kHostileName, &hostile}}}, {});
    CHECK(occurrences(html, "<script") == occurrences(expected, "<script"));
    CHECK(occurrences(html, "</script") == occurrences(expected, "</script"));
    CHECK(occurrences(html, "<img") == 0);
    CHECK(html.find('\x1b') == std::string::npos);
    CHECK(html.find("\xe2\x80\xae") == std::string::npos);
    CHECK(html.find("nan%") == std::string::npos);
    CHECK(nlohmann::json::parse(embedded_data(html))["runs"][0].size() == 4);
}

TEST_CASE("long texts of a document do not make a long page", "[reports]") {
    RunStatistics run = tests::make_run();
    const std::size_t before = render_report_html({nullptr, nullptr, {{"a", &run}}}, {}).size();
    run.image = run.protocol = run.command_line = run.detail = std::string(1'000'000, '<');
    for (RunSite& site : run.sites) site.mnemonic = std::string(1'000'000, '<');
    for (RunMnemonic& one : run.mnemonics) one.mnemonic = std::string(1'000'000, '<');
    CHECK(render_report_html({nullptr, nullptr, {{"a", &run}}}, {}).size() < before + 250'000);
}

TEST_CASE("an empty run has a report", "[reports]") {
    const RunStatistics run;
    const std::string html = render_report_html({nullptr, nullptr, {{"a", &run}}}, {});
    for (const char* part : {"The document has no times.", "No site ran.", "No sensitive instruction came to the monitor.", "No exception and no interrupt was delivered to the guest."}) {
        INFO(part);
        CHECK(html.find(part) != std::string::npos);
    }
}

TEST_CASE("no more than the hottest sites of a run are embedded", "[reports]") {
    RunStatistics run = tests::make_run();
    for (std::uint32_t i = 0; i < 25'000; ++i) run.sites.push_back({"payload", 0x1000 + i, {0xf4}, "hlt", {{{1, 1}, {}, {}, {}}}});
    const std::string html = render_report_html({nullptr, nullptr, {{"a", &run}}}, {});
    CHECK(nlohmann::json::parse(embedded_data(html))["runs"][0].size() == 20'000);
    CHECK(html.find("The table has the 20,000 hottest of 25,004 sites.") != std::string::npos);
}

TEST_CASE("values of a template are not looked at again", "[reports]") {
    CHECK(fill_template("a{{x}}b{{y}}", {{"x", "{{y}}"}, {"y", "1"}}) == "a{{y}}b1");
}
