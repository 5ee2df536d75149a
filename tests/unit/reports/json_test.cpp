// SPDX-License-Identifier: Apache-2.0
// Round trips, the published schemas, and every way in which a document can be refused.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "reports/plan_json.h"
#include "reports/scan_json.h"
#include "reports/scan_jsonl.h"
#include "sample_documents.h"
#include "schema_validator.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

Error parse_failure(const std::string& text) {
    const auto parsed = parse_scan_json(text, "scan.json");
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().file == "scan.json");
    return parsed.error();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a scan survives writing and reading", "[reports]") {
    const std::string text = render_scan_json(tests::make_scan());
    const auto parsed = parse_scan_json(text, "scan.json");
    REQUIRE(parsed.has_value());
    CHECK(render_scan_json(*parsed) == text);
    CHECK(parsed->findings[2].source_line == 42);
    CHECK(parsed->findings[1].context[0].kind == "alternative-replacement");
    CHECK(parsed->findings[4].evidence == Evidence::hidden);
    CHECK(parsed->sections[0].straddling_bytes == 1);
}

TEST_CASE("a plan survives writing and reading", "[reports]") {
    const std::string text = render_plan_json(tests::make_plan(tests::make_scan()));
    const auto parsed = parse_plan_json(text, "plan.json");
    REQUIRE(parsed.has_value());
    CHECK(render_plan_json(*parsed) == text);
    CHECK(parsed->by_technique.at("inline") == 2);
}

TEST_CASE("field names and types of a finding are those of the command line's contract", "[reports]") {
    const auto finding = nlohmann::json::parse(render_finding_line(tests::make_scan().findings[2]));
    CHECK(finding["address"] == "0xffffffff81000030");
    CHECK(finding["file_offset"] == 0x200030);
    CHECK(finding["mode"] == 64);
    CHECK(finding["bytes"] == "9c");
    CHECK(finding["source"]["file"] == "arch/x86/kernel/msr.c");
    CHECK(finding["source"]["line"] == 42);
    CHECK(finding["privileged"] == "yes");
    CHECK(finding["control_sensitive"] == true);
    CHECK(finding["behavior_sensitive"] == "no");
    CHECK(finding["critical"] == false);
    CHECK(finding["evidence"] == "reached");
    CHECK(finding["context"].is_array());
    for (const char* name : {"section", "symbol", "symbol_offset", "text", "mnemonic", "form"}) CHECK(finding.contains(name));
    CHECK(nlohmann::json::parse(render_finding_line(tests::make_scan().findings[0]))["source"].is_null());
}

TEST_CASE("documents validate against the published schemas", "[reports]") {
    const ScanDocument samples[] = {tests::make_scan(), tests::make_hostile_scan(), ScanDocument{}};
    for (const ScanDocument& scan : samples) {
        CHECK(tests::schema_faults("scan", render_scan_json(scan)) == "");
        CHECK(tests::schema_faults("plan", render_plan_json(tests::make_plan(scan))) == "");
        std::istringstream lines(collect([&](const Sink& sink) { write_scan_jsonl(scan, sink); }));
        for (std::string line; std::getline(lines, line);) CHECK(tests::schema_faults("scan-lines", line) == "");
    }
    ScanDocument counted = tests::make_scan();
    counted.all_mnemonics = {{"mov", 3}, {"nop", 1}};
    CHECK(tests::schema_faults("scan", render_scan_json(counted)) == "");
    CHECK(parse_scan_json(render_scan_json(counted), "scan.json")->all_mnemonics == counted.all_mnemonics);
    const Error error{ErrorCode::truncated, "found 3 bytes, expected 64", "x\xff.ko", 64, ""};
    CHECK(tests::schema_faults("error", render_error_json("x\xff.ko", error)) == "");
}

TEST_CASE("the schemas refuse what the documents never hold", "[reports]") {
    const std::string text = render_scan_json(tests::make_scan());
    CHECK(tests::schema_faults("scan", replaced(text, "\"evidence\":\"swept\"", "\"evidence\":\"likely\"")) != "");
    CHECK(tests::schema_faults("scan", replaced(text, "\"mode\":64", "\"mode\":\"64\"")) != "");
    CHECK(tests::schema_faults("scan", replaced(text, "\"profile\": \"base\"", "\"profil\": \"base\"")) != "");
}

TEST_CASE("an empty document is a document", "[reports]") {
    const auto parsed = parse_scan_json(render_scan_json(ScanDocument{}), "scan.json");
    REQUIRE(parsed.has_value());
    CHECK(parsed->findings.empty());
    CHECK(parse_plan_json(render_plan_json(PlanDocument{}), "plan.json").has_value());
}

TEST_CASE("wall time is not in the document", "[reports]") {
    ScanDocument scan = tests::make_scan();
    const std::string before = render_scan_json(scan);
    scan.seconds = 99;
    CHECK(render_scan_json(scan) == before);
}

TEST_CASE("reading names the place and what was expected", "[reports]") {
    const std::string text = render_scan_json(tests::make_scan());
    const Error evidence = parse_failure(replaced(text, "\"evidence\":\"swept\"", "\"evidence\":\"likely\""));
    CHECK(evidence.pointer == "/findings/1/evidence");
    CHECK(evidence.message.find("expected one of reached, swept, hidden") != std::string::npos);

    const Error address = parse_failure(replaced(text, "0xffffffff81000010", "0x1ffffffff81000010"));
    CHECK(address.pointer == "/findings/0/address");

    const Error mode = parse_failure(replaced(text, "\"mode\":64", "\"mode\":65"));
    CHECK(mode.pointer == "/findings/0/mode");

    const Error unknown = parse_failure(replaced(text, "\"overrides\": 0", "\"overrides\": 0, \"overides\": 0"));
    CHECK(unknown.pointer == "/overides");

    const Error missing = parse_failure(replaced(text, "\"profile\": \"base\",", ""));
    CHECK(missing.message.find("\"profile\"") != std::string::npos);

    const Error negative = parse_failure(replaced(text, "\"size\":65000000", "\"size\":-1"));
    CHECK(negative.pointer == "/image/size");
}

TEST_CASE("another schema and another major version are told apart", "[reports]") {
    const std::string text = render_scan_json(tests::make_scan());
    CHECK(parse_failure(replaced(text, "trapline.scan/1", "trapline.scan/2")).code == ErrorCode::unsupported);
    CHECK(parse_failure(replaced(text, "trapline.scan/1", "trapline.plan/1")).code == ErrorCode::malformed);
    CHECK(parse_failure("[]").message.find("expected an object") != std::string::npos);
}

TEST_CASE("a document cut at any byte is refused", "[reports]") {
    const std::string text = render_scan_json(tests::make_scan());
    for (std::size_t length = 0; length + 2 < text.size(); ++length) {
        INFO(length);
        CHECK_FALSE(parse_scan_json(std::string_view(text).substr(0, length), "scan.json").has_value());
    }
}

TEST_CASE("a finding that was taken out shows in the totals", "[reports]") {
    const std::string text = render_scan_json(tests::make_scan());
    const auto begin = text.find("\n    {\"address\":\"0xffffffff81000020"), end = text.find("\n    {\"address\":\"0xffffffff81000030");
    REQUIRE(begin < end);
    std::string cut = text;
    cut.erase(begin, end - begin);
    const Error error = parse_failure(cut);
    CHECK(error.code == ErrorCode::inconsistent);
    CHECK(error.pointer == "/totals");
}

TEST_CASE("tags that contradict each other are refused", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.findings[2].critical = true;
    CHECK(parse_failure(render_scan_json(scan)).pointer == "/findings/2/critical");
    scan = tests::make_scan();
    scan.findings[0].critical = false;
    CHECK(parse_failure(render_scan_json(scan)).code == ErrorCode::inconsistent);
}

// nlohmann prints and compares with recursion: a deep document ended in a stack overflow.
TEST_CASE("deep nesting is refused before it is parsed", "[reports]") {
    const std::string deep = std::string(1000000, '[') + std::string(1000000, ']');
    CHECK(parse_failure(deep).code == ErrorCode::refused);
    const std::string text = render_scan_json(tests::make_scan());
    CHECK(parse_failure(replaced(text, "\"findings\":5", "\"findings\":" + deep)).code == ErrorCode::refused);
    // Brackets inside strings do not nest.
    ScanDocument scan = tests::make_scan();
    scan.notes = {std::string(100, '[') + "\"\\" + std::string(100, '{')};
    CHECK(parse_scan_json(render_scan_json(scan), "scan.json").has_value());
}

TEST_CASE("names that are not UTF-8 are replaced, not thrown", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.findings[0].symbol = "caf\xe9";
    const auto parsed = parse_scan_json(render_scan_json(scan), "scan.json");
    REQUIRE(parsed.has_value());
    CHECK(parsed->findings[0].symbol == "caf\xEF\xBF\xBD");
}
