// SPDX-License-Identifier: Apache-2.0
// Worked rows for each escape.
#include <catch2/catch.hpp>

#include "reports/text_encoding.h"

using namespace trapline::reports;

// Rows of the Unicode standard 15.0, tables 3-8 to 3-11: one U+FFFD for each maximal subpart.
TEST_CASE("ill-formed UTF-8 is replaced as the Unicode standard shows", "[reports]") {
    const std::string r = "\xEF\xBF\xBD";
    CHECK(valid_utf8("plain") == "plain");
    CHECK(valid_utf8("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    CHECK(valid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") == r + r + r + r + r + r + r + r + "A");
    CHECK(valid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") == r + r + r + r + r + r + r + r + "A");
    CHECK(valid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") == r + r + r + r + r + "A" + r + r + "B");
    CHECK(valid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == r + r + r + r + "A");
}

TEST_CASE("a truncated sequence at the end is one replacement", "[reports]") {
    CHECK(valid_utf8("a\xF0\x9F\x98") == "a\xEF\xBF\xBD");
    CHECK(valid_utf8("\xE2") == "\xEF\xBF\xBD");
}

TEST_CASE("printable text has no control character and no direction override", "[reports]") {
    CHECK(printable("a\x1b[31mb\n") == "a\\x1b[31mb\\x0a");
    CHECK(printable("\xe2\x80\xae") == "\\u202e");
    CHECK(printable("\xc2\x9b") == "\\x9b");  // CSI as one C1 character
    CHECK(printable(std::string_view("\0", 1)) == "\\x00");
}

TEST_CASE("HTML text cannot open a tag or leave an attribute", "[reports]") {
    CHECK(html_text("<a href=\"x\" o='y'>&") == "&lt;a href=&quot;x&quot; o=&#39;y&#39;&gt;&amp;");
}

TEST_CASE("CSV fields are quoted after RFC 4180", "[reports]") {
    CHECK(csv_field("plain") == "plain");
    CHECK(csv_field("a,b") == "\"a,b\"");
    CHECK(csv_field("say \"x\"") == "\"say \"\"x\"\"\"");
    CHECK(csv_field("two\nlines") == "\"two\nlines\"");
    CHECK(csv_field("") == "");
}

TEST_CASE("CSV fields that spreadsheets take for formulas are guarded", "[reports]") {
    CHECK(csv_field("=1+1") == "'=1+1");
    CHECK(csv_field("+1") == "'+1");
    CHECK(csv_field("-1") == "'-1");
    CHECK(csv_field("@SUM(A1)") == "'@SUM(A1)");
    CHECK(csv_field("\t=1") == "'\t=1");
    CHECK(csv_field("a=1") == "a=1");
}

TEST_CASE("paths become relative URI references", "[reports]") {
    CHECK(uri_reference("boot/vmlinuz-6.1") == "boot/vmlinuz-6.1");
    CHECK(uri_reference("a.deb!x y#z?%") == "a.deb%21x%20y%23z%3F%25");
    CHECK(uri_reference("C:/x") == "C%3A/x");
    CHECK(uri_reference("//host/x") == "/%2Fhost/x");
}

TEST_CASE("JSON in a script element holds no character of markup", "[reports]") {
    CHECK(script_safe_json("\"</script><!--&\"") == "\"\\u003c/script\\u003e\\u003c!--\\u0026\"");
    CHECK(script_safe_json("\"\xE2\x80\xA8\xE2\x80\xA9\"") == "\"\\u2028\\u2029\"");
}

TEST_CASE("numbers for people", "[reports]") {
    CHECK(grouped(0) == "0");
    CHECK(grouped(999) == "999");
    CHECK(grouped(1000) == "1,000");
    CHECK(grouped(18446744073709551615u) == "18,446,744,073,709,551,615");
    CHECK(percentage(1, 0) == "-");
    CHECK(percentage(1, 8) == "12.5 %");
    CHECK(percentage(0, 8) == "0.0 %");
    CHECK(percentage(8, 8) == "100.0 %");
    CHECK(percentage(9999, 10000) == "> 99.9 %");
    CHECK(percentage(1, 10000) == "< 0.1 %");
    CHECK(percentage(999, 1000) == "99.9 %");
    CHECK(hex_address(0xffffffff81000000u) == "0xffffffff81000000");
}

TEST_CASE("text is cut by code points", "[reports]") {
    CHECK(fitted("abcdef", 6) == "abcdef");
    CHECK(fitted("abcdef", 4) == "abc\xE2\x80\xA6");
    CHECK(fitted("\xC3\xA9\xC3\xA9\xC3\xA9", 2) == "\xC3\xA9\xE2\x80\xA6");
    CHECK(fitted("abc", 0).empty());
}

TEST_CASE("times have three digits, cut and not rounded", "[reports]") {
    CHECK(readable_duration(0) == "0 ns");
    CHECK(readable_duration(999) == "999 ns");
    CHECK(readable_duration(1'000) == "1.00 \u00b5s");
    CHECK(readable_duration(12'345) == "12.3 \u00b5s");
    CHECK(readable_duration(999'999) == "999 \u00b5s");
    CHECK(readable_duration(1'000'000) == "1.00 ms");
    CHECK(readable_duration(22'362'372) == "22.3 ms");
    CHECK(readable_duration(1'675'621'625) == "1.67 s");
    CHECK(readable_duration(60'043'105'040) == "60.0 s");
    CHECK(readable_duration(1'234'567'890'123) == "1,234 s");
    CHECK(readable_duration(~std::uint64_t{0}) == "18,446,744,073 s");
}
