// SPDX-License-Identifier: Apache-2.0
// Checked reads and hex text.
#include "support/bytes.h"

#include <cstring>

namespace trapline {

std::optional<std::string_view> ByteView::c_string(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return std::nullopt;
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + offset;
    const void* end = std::memchr(begin, 0, bytes_.size() - offset);
    if (end == nullptr) return std::nullopt;
    return std::string_view(begin, static_cast<const char*>(end) - begin);
}

std::string to_hex(Bytes bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (std::uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

namespace {
int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
}  // namespace

Result<std::vector<std::uint8_t>> parse_hex(std::string_view text) {
    std::vector<std::uint8_t> bytes;
    int high = -1;
    for (std::size_t column = 0; column < text.size(); ++column) {
        const char c = text[column];
        if (c == ' ' || c == '\t') continue;
        const int value = digit_value(c);
        if (value < 0) {
            return fail(ErrorCode::malformed, std::string("found '") + c + "' at column " + std::to_string(column + 1) +
                                                  ", expected hex digits such as 0f01e0");
        }
        if (high < 0) {
            high = value;
        } else {
            bytes.push_back(static_cast<std::uint8_t>(high << 4 | value));
            high = -1;
        }
    }
    if (high >= 0) return fail(ErrorCode::malformed, "found an odd number of hex digits, expected two for each byte");
    if (bytes.empty()) return fail(ErrorCode::malformed, "found no hex digits, expected at least one byte");
    return bytes;
}

}  // namespace trapline
