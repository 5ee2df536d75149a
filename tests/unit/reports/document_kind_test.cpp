// SPDX-License-Identifier: Apache-2.0
#include "reports/document_kind.h"

#include <catch2/catch.hpp>

using namespace trapline;
using namespace trapline::reports;

TEST_CASE("a document is told by its schema, wherever that stands", "[reports]") {
    CHECK(find_document_kind(R"({"schema": "trapline.scan/1"})", "a") == DocumentKind::scan);
    CHECK(find_document_kind(R"({"x": 1, "schema": "trapline.plan/7"})", "a") == DocumentKind::plan);
    CHECK(find_document_kind(R"({"schema": "trapline.stats/1"})", "a") == DocumentKind::stats);
}

TEST_CASE("what no report can be made of is refused by name and place", "[reports]") {
    const auto other = find_document_kind(R"({"schema": "trapline.scan-lines/1"})", "lines.jsonl");
    REQUIRE_FALSE(other);
    CHECK(other.error().file == "lines.jsonl");
    CHECK(other.error().pointer == "/schema");
    CHECK(other.error().message.find("trapline.stats/1") != std::string::npos);
    CHECK(find_document_kind("[]", "a").error().pointer == "/");
    CHECK(find_document_kind("{}", "a").error().pointer == "/");
    CHECK(find_document_kind(R"({"schema": 3})", "a").error().pointer == "/schema");
    CHECK(find_document_kind("", "a").error().code == ErrorCode::truncated);
    CHECK(find_document_kind("{\"schema\"", "a").error().offset.has_value());
    CHECK(find_document_kind(std::string(100'000, '['), "a").error().code == ErrorCode::refused);
    // 17 million values of two bytes would take half a gigabyte.
    std::string many = "[0";
    for (int i = 0; i < 17'000'000; ++i) many += ",0";
    CHECK(find_document_kind(many + "]", "a").error().code == ErrorCode::refused);
}
