// SPDX-License-Identifier: Apache-2.0
// The verification report as JSON and as text.
#include "reports/verify_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "reports/schema_validator.h"

namespace trapline::reports {
namespace {

VerifyReport sample() {
    VerifyReport report;
    report.image = "vmlinux\x1b[31m";
    report.plan_sha256 = std::string(64, '0');
    report.seed = 1;
    report.rounds_each = 32;
    report.patches = 20;
    report.proved = 5;
    for (std::uint64_t i = 0; i < 15; ++i)
        report.findings.push_back({VerifyKind::proof, "payload", ".text", 0xFFFFFFFF81000000 + i, "f", i, "absorb: eax is 0x1, expected 0x2", "difference: eax\noriginal:\n  cli\n"});
    report.findings.push_back({VerifyKind::image, "stub", "", 0, "", 0, "the patched image has no such part", ""});
    report.notes = {"a note"};
    return report;
}

TEST_CASE("verify report: JSON fits its schema") {
    for (const VerifyReport& report : {sample(), VerifyReport()}) {
        const std::string text = render_verify_json(report);
        CHECK(tests::schema_faults("verify", text) == "");
        CHECK(text == render_verify_json(report));
    }
    const auto document = nlohmann::json::parse(render_verify_json(sample()));
    CHECK(document["verified"] == false);
    CHECK(document["findings"].size() == 16);
    CHECK(document["findings"][3]["address"] == "0xffffffff81000003");
    CHECK(document["findings"][3]["kind"] == "proof");
    CHECK(nlohmann::json::parse(render_verify_json(VerifyReport()))["verified"] == true);
}

TEST_CASE("verify report: every kind is one that the schema knows") {
    VerifyReport report;
    for (const VerifyKind kind : kAllVerifyKinds) report.findings.push_back({kind, "", "", 0, "", 0, "text", ""});
    CHECK(tests::schema_faults("verify", render_verify_json(report)) == "");
}

TEST_CASE("verify report: text is cut where it would bury its reader") {
    const std::string text = render_verify_text(sample(), 12);
    CHECK_THAT(text, Catch::Contains("5 of 20 patches proved"));
    CHECK_THAT(text, Catch::Contains("patches that are not proved: 15"));
    CHECK_THAT(text, Catch::Contains("and 3 more (--all)"));
    CHECK_THAT(text, Catch::Contains("not verified: 16 findings"));
    CHECK_THAT(text, Catch::Contains("note: a note"));
    CHECK(text.find('\x1b') == std::string::npos);
    // Reports of the first three only.
    std::size_t reports = 0;
    for (std::size_t at = text.find("original:"); at != std::string::npos; at = text.find("original:", at + 1)) ++reports;
    CHECK(reports == 3);
    CHECK_THAT(render_verify_text(sample(), 0), !Catch::Contains("--all"));
    CHECK_THAT(render_verify_text(VerifyReport(), 12), Catch::EndsWith("verified\n"));
}

}  // namespace
}  // namespace trapline::reports
