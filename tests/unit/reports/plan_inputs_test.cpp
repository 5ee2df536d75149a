// SPDX-License-Identifier: Apache-2.0
// What a plan may be given besides the image: costs and execution counts.
#include <catch2/catch.hpp>

#include "reports/calibration_json.h"
#include "reports/execution_counts.h"
#include "schema_validator.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

const std::string kStats = R"({"schema": "trapline.stats/1", "image": {"sha256": ")" + std::string(64, 'a') + R"(", "name": "x"},
"sites": [{"part": "payload", "address": "0xc1000010", "executions": 7, "nanoseconds": 3}, {"part": "", "address": "0x10", "executions": 0}]})";

}  // namespace

TEST_CASE("a calibration survives writing and reading", "[reports]") {
    patch::CostTable table;
    table.trap = 1234.5;
    table.far_call = 99;
    const std::string text = render_calibration_json(table);
    CHECK(tests::schema_faults("calibration", text) == "");
    const auto parsed = parse_calibration_json(text, "host.json");
    REQUIRE(parsed.has_value());
    CHECK(parsed->source == "host.json");
    CHECK(parsed->trap == 1234.5);
    CHECK(parsed->far_call == 99);
    CHECK(render_calibration_json(*parsed) == text);
}

TEST_CASE("a calibration is read strictly", "[reports]") {
    patch::CostTable table;
    table.trap = 6700;
    const std::string text = render_calibration_json(table);
    CHECK(parse_calibration_json(replaced(text, "\"trap\":", "\"tarp\":"), "c").error().pointer == "/cycles");
    CHECK(parse_calibration_json(replaced(text, "6700.0", "-1"), "c").error().pointer == "/cycles/trap");
    CHECK(parse_calibration_json(replaced(text, "6700.0", "\"6700\""), "c").error().pointer == "/cycles/trap");
    CHECK(parse_calibration_json(replaced(text, "calibration/1", "calibration/2"), "c").error().code == ErrorCode::unsupported);
    CHECK(parse_calibration_json(replaced(text, "{\"trap\"", "{\"surprise\":1,\"trap\""), "c").error().pointer == "/cycles/surprise");
}

TEST_CASE("execution counts come out of an executor's statistics", "[reports]") {
    const auto counts = parse_execution_counts(kStats, "stats.json");
    REQUIRE(counts.has_value());
    CHECK(counts->sha256 == std::string(64, 'a'));
    CHECK(counts->executions.at({"payload", 0xc1000010u}) == 7);
    CHECK(counts->executions.at({"", 0x10u}) == 0);
    // The kernel that was taken out of a bzImage is the same image under another name.
    CHECK(counts->executions.at({"", 0xc1000010u}) == 7);
    CHECK(counts->sites == 1);
    CHECK(counts->total == 7);
    CHECK(parse_execution_counts(replaced(kStats, "\"executions\": 7", "\"executions\": -7"), "s").error().pointer == "/sites/0/executions");
    CHECK(parse_execution_counts(replaced(kStats, "0xc1000010", "c1000010"), "s").error().pointer == "/sites/0/address");
    CHECK(parse_execution_counts(replaced(kStats, "\"part\": \"\", \"address\": \"0x10\"", "\"part\": \"payload\", \"address\": \"0xc1000010\""), "s").error().pointer == "/sites/1/address");
    CHECK(parse_execution_counts(replaced(kStats, "\"name\"", "\"title\""), "s").error().pointer == "/image/title");
    CHECK(parse_execution_counts(replaced(kStats, "\"executions\": 7", "\"times\": 7"), "s").error().pointer == "/sites/0");
    CHECK(parse_execution_counts(replaced(kStats, "aaaa", "AAAA"), "s").error().pointer == "/image/sha256");
    CHECK(parse_execution_counts(replaced(kStats, "stats/1", "stats/2"), "s").error().code == ErrorCode::unsupported);
}
