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
    const std::string expected = render_report_html(clean, &clean_plan, {"verdict", {{"name", "value"}}});
    const std::string html = render_report_html(hostile, &hostile_plan, {tests::kHostileName, {{tests::kHostileName, tests::kHostileName}}});
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
    const std::string html = render_report_html(scan, nullptr, {});
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
    const auto data = nlohmann::json::parse(embedded_data(render_report_html(scan, &plan, {})));
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
    const std::string html = render_report_html(scan, &plan, {"Theorem 1: not met.\n\nTheorem 3: not met.", {{"Kernel release", "6.1.0-50"}}});
    for (const char* part : {"<p>Theorem 1: not met.</p>", "<p>Theorem 3: not met.</p>", "<dt>Kernel release</dt><dd>6.1.0-50</dd>", "<svg class=\"sets\"", "3 sites / 3 forms",
                             "unexplained", "alternative-replacement", "deb \xE2\x86\x92 xz \xE2\x86\x92 bzimage \xE2\x86\x92 xz"}) {
        INFO(part);
        CHECK(html.find(part) != std::string::npos);
    }
    CHECK(html.find("{{") == std::string::npos);
}

TEST_CASE("an empty scan without a plan has a report", "[reports]") {
    const std::string html = render_report_html(ScanDocument{}, nullptr, {});
    CHECK(html.find("No critical site.") != std::string::npos);
    CHECK(html.find("No plan was made.") != std::string::npos);
    CHECK(nlohmann::json::parse(embedded_data(html))["sites"].empty());
}

TEST_CASE("the same documents give the same report", "[reports]") {
    ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const std::string before = render_report_html(scan, &plan, {});
    scan.seconds = 3;
    CHECK(render_report_html(scan, &plan, {}) == before);
}

TEST_CASE("values of a template are not looked at again", "[reports]") {
    CHECK(fill_template("a{{x}}b{{y}}", {{"x", "{{y}}"}, {"y", "1"}}) == "a{{y}}b1");
}
