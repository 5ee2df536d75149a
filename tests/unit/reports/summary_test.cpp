// SPDX-License-Identifier: Apache-2.0
// What the terminal summary says, how wide it is, and what hostile names cannot do to it.
#include <catch2/catch.hpp>
#include <sstream>

#include "reports/summary.h"
#include "reports/text_encoding.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

namespace {
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("the summary says what there is and what is left", "[reports]") {
    const ScanDocument scan = tests::make_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const std::string text = render_summary(scan, &plan, {});
    CHECK(contains(text, "profile base, database 0123456789abcdef, 0 tags forced by hand"));
    CHECK(contains(text, "Critical sites by mnemonic (1 reached, 1 swept, 1 hidden)"));
    CHECK(contains(text, "native_save_fl"));
    CHECK(contains(text, "Left: 1 site, 1 critical"));
    CHECK(contains(text, "sgdt_form, first at 0xffffffff81000050"));
    CHECK(contains(text, "2 findings that a decoder reads otherwise; 1 difference unexplained"));
    CHECK(contains(text, "- kallsyms: 3 symbols outside all sections"));
    CHECK_FALSE(contains(text, "\x1b"));
}

TEST_CASE("no line of the summary is wider than 100 columns", "[reports]") {
    for (ScanDocument scan : {tests::make_scan(), tests::make_hostile_scan(), ScanDocument{}}) {
        scan.notes.push_back(std::string(300, 'x') + " " + std::string(80, 'y'));
        const PlanDocument plan = tests::make_plan(scan);
        std::istringstream lines(render_summary(scan, &plan, {}));
        for (std::string line; std::getline(lines, line);) {
            INFO(line);
            CHECK(columns(line) <= 100);
        }
    }
}

TEST_CASE("names from the image cannot command the terminal", "[reports]") {
    const ScanDocument scan = tests::make_hostile_scan();
    CHECK_FALSE(contains(render_summary(scan, nullptr, {}), "\x1b"));
    const std::string coloured = render_summary(scan, nullptr, {true, 12});
    CHECK(contains(coloured, "\x1b[1m"));
    CHECK_FALSE(contains(coloured, "\x1b[31m"));  // the sample's own escape
}

TEST_CASE("an empty scan has a summary", "[reports]") {
    const PlanDocument plan;
    const std::string text = render_summary(ScanDocument{}, &plan, {});
    CHECK(contains(text, "critical" + std::string(21, ' ') + "0"));
    CHECK(contains(text, "Every site has a technique."));
}
