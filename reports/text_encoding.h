// SPDX-License-Identifier: Apache-2.0
// Text of hostile origin made safe for the place it goes to. Symbol, section and file names come from the image and may
// hold any bytes: markup, formulas, terminal escapes, text that is not UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trapline::reports {

/// Replaces each ill-formed part by U+FFFD, as the Unicode standard recommends (3.9, "maximal subparts"): overlong forms,
/// surrogates and values past U+10FFFF are ill-formed. Well-formed text comes back unchanged.
std::string valid_utf8(std::string_view text);

/// Makes text safe to show: valid_utf8, then control characters as `\x1b` and characters that change the direction or
/// are invisible as `\u202e`. One line; a terminal or a page shows what is there and obeys nothing.
std::string printable(std::string_view text);

/// Makes text safe between tags and inside quoted attributes of HTML and SVG: printable, then & < > " ' as references.
std::string html_text(std::string_view text);

/// Makes one CSV field after RFC 4180: quoted where it holds a comma, a quote or a line break. A field that a spreadsheet
/// would take for a formula (first character = + - @, tab or carriage return) gets an apostrophe before it.
std::string csv_field(std::string_view text);

/// Makes a relative URI reference of a path (RFC 3986): all but unreserved characters and '/' percent-encoded. A second
/// leading slash is encoded too, for it would begin an authority.
std::string uri_reference(std::string_view path);

/// Makes serialized JSON safe inside an HTML script element: < > & and U+2028, U+2029 become \u escapes, so that neither
/// an end tag nor a comment can begin there. The JSON value stays the same.
std::string script_safe_json(std::string_view json);

/// Renders an address as all documents do: "0xffffffff81000000".
std::string hex_address(std::uint64_t address);
/// Renders a count for people: "12,345".
std::string grouped(std::uint64_t count);
/// Renders a size for people: "512 bytes", "65.9 MB" (decimal units).
std::string readable_size(std::uint64_t bytes);
/// Renders a time for people with three digits, cut and not rounded: "630 ns", "22.4 ms", "1.68 s", "1,234 s".
std::string readable_duration(std::uint64_t nanoseconds);
/// Renders part / whole as "12.3 %"; "-" when whole is 0. All and nothing alone come out as 100.0 % and 0.0 %: what rounds to
/// them is "> 99.9 %" or "< 0.1 %".
std::string percentage(std::uint64_t part, std::uint64_t whole);

/// Counts code points of well-formed UTF-8: the columns of a terminal for what printable() lets through, wide scripts apart.
std::size_t columns(std::string_view text);
/// Cuts well-formed UTF-8 to at most `width` code points, the last one an ellipsis where something was cut.
std::string fitted(std::string_view text, std::size_t width);

}  // namespace trapline::reports
