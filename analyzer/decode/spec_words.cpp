// SPDX-License-Identifier: Apache-2.0
// See spec_words.h.
#include "decode/spec_words.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace trapline::decode {
namespace {

std::uint8_t prefix_bit(std::string_view text) {
    if (text == "np") return isa::PrefixSet::np;
    if (text == "66") return isa::PrefixSet::p66;
    if (text == "f3") return isa::PrefixSet::f3;
    if (text == "f2") return isa::PrefixSet::f2;
    return 0;
}

/// Parses the whole of `word`; negative when it is not a number.
int parse_number(std::string_view word, int base) {
    int value = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
    return error == std::errc{} && end == word.data() + word.size() ? value : -1;
}

}  // namespace

ModeSet all_modes() {
    ModeSet modes;
    for (Mode mode : kAllModes) modes.insert(mode);
    return modes;
}

ModeSet read_modes(const isa::JsonCursor& list) {
    ModeSet modes;
    for (const isa::JsonCursor& element : list.elements()) {
        const auto text = element.string();
        if (!text) continue;
        if (const auto mode = parse_mode(*text)) {
            modes.insert(*mode);
        } else {
            element.refuse(fmt::format("found mode \"{}\", expected one of 16r 16p 32 64", *text));
        }
    }
    return modes;
}

std::uint8_t read_prefixes(const isa::JsonCursor& row, std::uint8_t absent) {
    const auto member = row.member("prefix");
    if (!member) return absent;
    const std::vector<isa::JsonCursor> words = member->value().is_string() ? std::vector{*member} : member->elements();
    std::uint8_t bits = 0;
    for (const isa::JsonCursor& word : words) {
        const auto text = word.string();
        if (!text) continue;
        const std::uint8_t bit = prefix_bit(*text);
        if (bit == 0) word.refuse(fmt::format("found prefix \"{}\", expected one of np 66 f3 f2", *text));
        bits |= bit;
    }
    return bits;
}

std::uint8_t read_mod_bits(const isa::JsonCursor& row) {
    const auto member = row.member("mod");
    if (!member) return kMemoryBit | kRegisterBit;
    const auto text = member->string();
    if (text == "mem") return kMemoryBit;
    if (text == "reg") return kRegisterBit;
    if (text) member->refuse(fmt::format("found mod \"{}\", expected mem or reg", *text));
    return kMemoryBit | kRegisterBit;
}

void read_numbers(const isa::JsonCursor& text_cursor, int base, int limit, const std::function<void(int)>& visit) {
    const auto text = text_cursor.string();
    if (!text) return;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find_first_of(", "), rest.size());
        const std::string_view item = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const std::size_t dash = item.find('-');
        const int first = parse_number(item.substr(0, dash), base);
        const int last = dash == std::string_view::npos ? first : parse_number(item.substr(dash + 1), base);
        if (first < 0 || last < first || last >= limit) {
            text_cursor.refuse(fmt::format("found \"{}\", expected a number below {} or a range of them (base {})", item, limit, base));
            return;
        }
        for (int value = first; value <= last; ++value) visit(value);
    }
}

std::uint16_t read_mask(const isa::JsonCursor& row, std::string_view key, int limit) {
    const auto member = row.member(key);
    if (!member) return 0xFFFF;
    std::uint16_t mask = 0;
    read_numbers(*member, 10, limit, [&](int value) { mask |= static_cast<std::uint16_t>(1 << value); });
    return mask;
}

}  // namespace trapline::decode
