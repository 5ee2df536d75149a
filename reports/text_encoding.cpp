// SPDX-License-Identifier: Apache-2.0
// One UTF-8 decoder, and the escapes of each output format.
#include "reports/text_encoding.h"

#include <fmt/format.h>
#include <iterator>

namespace trapline::reports {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct CodePoint {
    std::uint32_t value = 0;
    std::size_t length = 1;  // bytes taken; at least 1
    bool well_formed = false;
};

// Table 3-7 of the Unicode standard: the range of the second byte depends on the first.
CodePoint next_code_point(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t first = byte(at);
    if (first < 0x80) return {first, 1, true};
    std::size_t length = 0;
    std::uint32_t value = 0;
    std::uint8_t low = 0x80, high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2, value = first & 0x1Fu;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3, value = first & 0x0Fu;
        if (first == 0xE0) low = 0xA0;
        if (first == 0xED) high = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4, value = first & 0x07u;
        if (first == 0xF0) low = 0x90;
        if (first == 0xF4) high = 0x8F;
    } else {
        return {};
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {0, i, false};
        value = value << 6 | (byte(at + i) & 0x3Fu);
        low = 0x80, high = 0xBF;
    }
    return {value, length, true};
}

// Bidirectional controls, joiners, line separators, the BOM and tag characters: shown text would differ from stored text.
bool is_deceptive(std::uint32_t c) {
    return c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xE0000 && c <= 0xE007F);
}

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

}  // namespace

std::string valid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = next_code_point(text, at);
        out += point.well_formed ? text.substr(at, point.length) : kReplacement;
        at += point.length;
    }
    return out;
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = next_code_point(text, at);
        if (!point.well_formed) {
            out += kReplacement;
        } else if (point.value < 0x20 || (point.value >= 0x7F && point.value < 0xA0)) {
            out += fmt::format("\\x{:02x}", point.value);
        } else if (is_deceptive(point.value)) {
            out += fmt::format("\\u{:04x}", point.value);
        } else {
            out += text.substr(at, point.length);
        }
        at += point.length;
    }
    return out;
}

std::string html_text(std::string_view text) {
    std::string out;
    for (const char c : printable(text)) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    }
    return out;
}

std::string csv_field(std::string_view text) {
    std::string field = valid_utf8(text);
    if (!field.empty() && std::string_view("=+-@\t\r").find(field.front()) != std::string_view::npos) field.insert(0, 1, '\'');
    if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
    std::string quoted = "\"";
    for (const char c : field) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + '"';
}

std::string uri_reference(std::string_view path) {
    std::string out;
    for (std::size_t i = 0; i < path.size(); ++i) {
        const char c = path[i];
        const bool opens_authority = i == 1 && c == '/' && path[0] == '/';
        if (is_unreserved(c) || (c == '/' && !opens_authority)) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<std::uint8_t>(c));
        }
    }
    return out;
}

std::string script_safe_json(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (c == '<' || c == '>' || c == '&') {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else if (json.substr(i, 3) == "\xE2\x80\xA8" || json.substr(i, 3) == "\xE2\x80\xA9") {
            out += json[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
            i += 2;
        } else {
            out += c;
        }
    }
    return out;
}

std::string hex_address(std::uint64_t address) { return fmt::format("0x{:x}", address); }

std::string grouped(std::uint64_t count) {
    std::string digits = std::to_string(count);
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
    return digits;
}

std::string readable_size(std::uint64_t bytes) {
    if (bytes < 1000) return fmt::format("{} bytes", bytes);
    if (bytes < 1000 * 1000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
    if (bytes < 1000 * 1000 * 1000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
    return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

std::string readable_duration(std::uint64_t nanoseconds) {
    if (nanoseconds < 1'000) return fmt::format("{} ns", nanoseconds);
    constexpr std::string_view kNames[] = {"\xC2\xB5s", "ms", "s"};
    std::uint64_t size = 1'000;
    std::size_t unit = 0;
    for (; unit + 1 < std::size(kNames) && nanoseconds / size >= 1'000; ++unit) size *= 1'000;
    const std::uint64_t whole = nanoseconds / size, hundredths = nanoseconds % size / (size / 100);
    if (whole < 10) return fmt::format("{}.{:02} {}", whole, hundredths, kNames[unit]);
    if (whole < 100) return fmt::format("{}.{} {}", whole, hundredths / 10, kNames[unit]);
    return fmt::format("{} {}", grouped(whole), kNames[unit]);
}

std::string percentage(std::uint64_t part, std::uint64_t whole) {
    if (whole == 0) return "-";
    const double share = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
    if (part < whole && share >= 99.95) return "> 99.9 %";
    if (part > 0 && share < 0.05) return "< 0.1 %";
    return fmt::format("{:.1f} %", share);
}

std::size_t columns(std::string_view text) {
    std::size_t count = 0;
    for (const char c : text) count += (static_cast<std::uint8_t>(c) & 0xC0) != 0x80;
    return count;
}

std::string fitted(std::string_view text, std::size_t width) {
    if (columns(text) <= width) return std::string(text);
    if (width == 0) return {};
    std::size_t end = 0;
    for (std::size_t kept = 0; end < text.size(); ++end) {
        if ((static_cast<std::uint8_t>(text[end]) & 0xC0) != 0x80 && kept++ == width - 1) break;
    }
    return std::string(text.substr(0, end)) + "\xE2\x80\xA6";  // U+2026
}

}  // namespace trapline::reports
