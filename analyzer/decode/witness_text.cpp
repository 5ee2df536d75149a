// SPDX-License-Identifier: Apache-2.0
// See witness_text.h.
#include "decode/witness_text.h"

#include <algorithm>
#include <array>

namespace trapline::decode {
namespace {

// Words that LLVM's and Capstone's printers put in front of a mnemonic.
constexpr std::array<std::string_view, 24> kPrefixWords = {
    "lock",   "rep",    "repe",   "repz", "repne", "repnz", "xacquire", "xrelease", "bnd", "notrack", "data16", "data32",
    "addr16", "addr32", "addr64", "cs",   "ss",    "ds",    "es",       "fs",       "gs",  "rex64",   "hnt",    "ht",
};

bool is_prefix_word(std::string_view word) {
    if (word.starts_with('{')) return true;
    return std::find(kPrefixWords.begin(), kPrefixWords.end(), word) != kPrefixWords.end();
}

}  // namespace

std::string single_spaced(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (char c : text) {
        if (c == '#') break;
        if (c == ' ' || c == '\t' || c == '\n') {
            if (!out.empty() && out.back() != ' ') out += ' ';
        } else {
            out += c;
        }
    }
    if (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

std::string_view mnemonic_of(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        const std::string_view word = text.substr(at, end - at);
        if (!is_prefix_word(word)) return word;
        at = std::min(end + 1, text.size());
    }
    return {};
}

std::string with_mnemonic(std::string_view text, std::string_view mnemonic) {
    const std::string_view old = mnemonic_of(text);
    if (old.empty()) return std::string(mnemonic);
    const std::size_t at = static_cast<std::size_t>(old.data() - text.data());
    return std::string(text.substr(0, at)).append(mnemonic).append(text.substr(at + old.size()));
}

}  // namespace trapline::decode
