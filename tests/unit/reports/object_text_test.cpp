// SPDX-License-Identifier: Apache-2.0
// JSON objects as text: what RFC 8259 has escaped is, and hostile names cannot end their string.
#include "reports/object_text.h"

#include <catch2/catch.hpp>

#include <vector>

using trapline::reports::append_json_string;
using trapline::reports::ObjectText;

namespace {

std::string quoted(std::string_view text) {
    std::string out;
    append_json_string(text, out);
    return out;
}

}  // namespace

TEST_CASE("strings of JSON text are escaped where they must be", "[reports]") {
    using namespace std::string_view_literals;
    CHECK(quoted("") == R"("")");
    CHECK(quoted("mov cr0, rax") == R"("mov cr0, rax")");
    CHECK(quoted(R"(a"b\c)") == R"("a\"b\\c")");
    CHECK(quoted("tab\tline\n\x01") == R"("tab\tline\n\u0001")");
    CHECK(quoted("nul\0!"sv) == R"("nul\u0000!")");
    CHECK(quoted("\x7f") == "\"\x7f\"");
    CHECK(quoted("gr\xc3\xbc\xc3\x9f") == "\"gr\xc3\xbc\xc3\x9f\"");
    CHECK(quoted("\xff") == "\"\xef\xbf\xbd\"");  // U+FFFD
}

TEST_CASE("objects of JSON text hold members in the order they came", "[reports]") {
    std::string out = "before ";
    ObjectText object(out);
    object.member("word", "x");
    object.member("number", std::uint64_t{18446744073709551615u});
    object.member("yes", true);
    object.member("no", false);
    object.raw("null", "null");
    object.list("none", std::vector<int>{}, [](ObjectText&, int) {});
    object.list("two", std::vector<std::string>{"a", "b"}, [](ObjectText& item, const std::string& text) { item.member("k", text); });
    object.end();
    CHECK(out == R"(before {"word":"x","number":18446744073709551615,"yes":true,"no":false,"null":null,"none":[],"two":[{"k":"a"},{"k":"b"}]})");
}

TEST_CASE("an empty object of JSON text closes", "[reports]") {
    std::string out;
    ObjectText(out).end();
    CHECK(out == "{}");
}
