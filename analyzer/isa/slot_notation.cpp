// SPDX-License-Identifier: Apache-2.0
// Reads a slot token by token; each kind of token has one reader that either takes the token or leaves it.
#include "isa/slot_notation.h"

#include <array>
#include <charconv>
#include <string>

namespace trapline::isa {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 20> kRules = {{
    {"{k}", OperandRules::mask}, {"{K}", OperandRules::mask | OperandRules::mask_required}, {"{z}", OperandRules::zeroing},
    {"{mz}", OperandRules::zeroing | OperandRules::zeroing_memory}, {"{b}", OperandRules::broadcast}, {"{er}", OperandRules::rounding},
    {"{sae}", OperandRules::sae}, {"{vsib}", OperandRules::vsib}, {"{sib}", OperandRules::sib}, {"{kreg}", OperandRules::mask_reg},
    {"{krm}", OperandRules::mask_rm}, {"{kv}", OperandRules::mask_vvvv}, {"{distinct}", OperandRules::distinct}, {"{tile}", OperandRules::tile},
    {"ND0", OperandRules::nd0}, {"ND1", OperandRules::nd1}, {"{nf}", OperandRules::nf}, {"{NF}", OperandRules::nf | OperandRules::nf_required}, {"{scc}", OperandRules::condition}, {"{egpr}", OperandRules::egpr},
}};

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        if (end != 0) parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

std::optional<int> parse_number(std::string_view text, int base) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

struct Range {
    int first = 0, last = 0;
};

/// Reads "58" or "40-4F"; two digits a number, so that no other token is taken for one.
std::optional<Range> parse_byte_range(std::string_view token) {
    const std::size_t dash = token.find('-');
    const std::string_view low = token.substr(0, dash), high = dash == std::string_view::npos ? low : token.substr(dash + 1);
    if (low.size() != 2 || high.size() != 2) return std::nullopt;
    const auto first = parse_number(low, 16), last = parse_number(high, 16);
    if (!first || !last || *last < *first) return std::nullopt;
    return Range{*first, *last};
}

/// Reads "NP", "66,F2"; nothing when a word is no prefix.
std::optional<PrefixSet> parse_prefixes(std::string_view token) {
    PrefixSet set;
    set.bits = 0;
    for (std::string_view word : split(token, ',')) {
        if (word == "NP") set.bits |= PrefixSet::np;
        else if (word == "66") set.bits |= PrefixSet::p66;
        else if (word == "F3") set.bits |= PrefixSet::f3;
        else if (word == "F2") set.bits |= PrefixSet::f2;
        else return std::nullopt;
    }
    return set;
}

class SlotReader {
public:
    explicit SlotReader(std::string_view text) : text_(text), tokens_(split(text, ' ')) {}

    Result<std::vector<Encoding>> read() {
        if (tokens_.empty()) return refuse("", "a slot such as \"NP 0F 58 /r\"");
        const std::string_view first = tokens_.front();
        const bool vector = first.rfind("VEX.", 0) == 0 || first.rfind("EVEX.", 0) == 0 || first.rfind("XOP.", 0) == 0;
        const Status head = vector ? read_vector_head() : read_legacy_head();
        if (!head) return tl::unexpected(head.error());
        if (at_ == tokens_.size()) return refuse("", "an opcode, two hexadecimal digits or a range of them");
        if (encoding_.map != OpcodeMap::m3dnow) {
            const auto range = parse_byte_range(tokens_[at_]);
            if (!range) return refuse(tokens_[at_], "an opcode, two hexadecimal digits or a range of them");
            opcodes_ = *range;
            ++at_;
        }
        for (; at_ < tokens_.size(); ++at_) {
            const std::string_view token = tokens_[at_];
            if (!(read_condition(token) || read_modrm(token) || read_immediate(token) || (vector && read_rule(token))))
                return refuse(token, vector ? "ModRM (/r /4:m C8), an immediate (ib), {in:64} or {not:64}, or a rule such as {k} {b} ND1"
                                            : "ModRM (/r /4:m C8), an immediate (ib), or a condition: {o16} {a32} {W1} {B=0} {REX2} {in:64} {not:64}");
        }
        if (encoding_.map == OpcodeMap::m3dnow && !suffix_) return refuse("", "the suffix byte of a 3DNow! instruction");
        std::vector<Encoding> out;
        for (int opcode = opcodes_.first; opcode <= opcodes_.last; ++opcode) {
            encoding_.opcode = static_cast<std::uint8_t>(opcode);
            out.push_back(encoding_);
        }
        return out;
    }

private:
    tl::unexpected<Error> refuse(std::string_view found, std::string_view expected) const {
        return fail(ErrorCode::malformed, (found.empty() ? "found the end" : "found \"" + std::string(found) + "\"") + " in slot \"" + std::string(text_) +
                                              "\", expected " + std::string(expected));
    }

    Status read_legacy_head() {
        for (Mode mode : kAllModes) encoding_.modes.insert(mode);
        // "66 0F" begins with a prefix; "66 /r" cannot occur, since 66 is no opcode.
        if (const auto prefixes = parse_prefixes(tokens_[at_]); prefixes) {
            encoding_.prefix = *prefixes;
            ++at_;
        }
        const auto next_is = [&](std::string_view word) { return at_ < tokens_.size() && tokens_[at_] == word; };
        if (!next_is("0F")) return {};
        ++at_;
        encoding_.map = OpcodeMap::m0f;
        if (next_is("38")) encoding_.map = OpcodeMap::m0f38;
        else if (next_is("3A")) encoding_.map = OpcodeMap::m0f3a;
        else if (next_is("0F")) encoding_.map = OpcodeMap::m3dnow;
        if (encoding_.map != OpcodeMap::m0f) ++at_;
        return {};
    }

    Status read_vector_head() {
        const std::string_view head = tokens_[at_++];
        std::vector<std::string_view> parts = split(head, '.');
        const std::string_view space = parts.front();
        std::size_t i = 1;
        const auto more = [&] { return i < parts.size(); };
        encoding_.vvvv_unused = true;
        if (more() && parts[i] == "NDS") {
            encoding_.vvvv_unused = false;
            ++i;
        }
        // EVEX.L'L = 11b is no length, for scalar forms neither: #UD unless it is the rounding mode (seen on Zen 5).
        encoding_.l_mask = space == "EVEX" ? 7 : 0xF;
        if (more() && read_lengths(parts[i])) ++i;
        const auto prefixes = more() ? parse_prefixes(parts[i]) : std::nullopt;
        if (!prefixes) return refuse(more() ? parts[i] : head, "NDS, then 128, 256, 512 or LIG, then NP, 66, F3 or F2");
        encoding_.prefix = *prefixes;
        ++i;
        const auto map = more() ? vector_map(space, parts[i]) : std::nullopt;
        if (!map) return refuse(more() ? parts[i] : head, "an opcode map: 0F 0F38 0F3A MAP4 MAP5 MAP6 MAP7, for XOP 8 9 A");
        encoding_.map = *map;
        ++i;
        if (more() && (parts[i] == "W0" || parts[i] == "W1")) encoding_.w = parts[i++] == "W1";
        if (more()) return refuse(parts[i], "W0, W1 or nothing");
        // VEX, EVEX and XOP need protected mode; maps 4 and 7 hold instructions of 64-bit mode only.
        encoding_.modes.insert(Mode::long64);
        if (encoding_.map == OpcodeMap::evex_map4 || encoding_.map == OpcodeMap::vex_map7 || encoding_.map == OpcodeMap::evex_map7) return {};
        encoding_.modes.insert(Mode::protected16);
        encoding_.modes.insert(Mode::protected32);
        return {};
    }

    bool read_lengths(std::string_view part) {
        if (part == "LIG") return true;
        std::uint8_t mask = 0;
        for (std::string_view word : split(part, ',')) {
            if (word == "128") mask |= 1;
            else if (word == "256") mask |= 2;
            else if (word == "512") mask |= 4;
            else return false;
        }
        encoding_.l_mask = mask;
        return true;
    }

    static std::optional<OpcodeMap> vector_map(std::string_view space, std::string_view part) {
        std::string name = space == "VEX" ? "vex." : space == "EVEX" ? "evex." : "xop.";
        for (char c : part) name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        return parse_opcode_map(name);
    }

    /// "/r", "/4", "/4-7" with ":m" or ":r", or a ModRM byte "C8", "C8-CF"; for 3DNow! the suffix byte as well.
    bool read_modrm(std::string_view token) {
        if (token == "/is4") return false;
        if (const auto range = parse_byte_range(token)) {
            if (encoding_.map == OpcodeMap::m3dnow && encoding_.has_modrm && !suffix_) {
                suffix_ = true;
                opcodes_ = *range;
                return true;
            }
            // A range stays within one ModRM.reg or covers several whole ones.
            const bool whole = (range->first & 7) == 0 && (range->last & 7) == 7, within_one = (range->first ^ range->last) <= 7;
            if (encoding_.has_modrm || range->first < 0xC0 || !(whole || within_one)) return false;
            encoding_.has_modrm = true;
            encoding_.mod = ModRequirement::reg;
            encoding_.reg_mask = 0;
            encoding_.rm_mask = 0;
            for (int byte = range->first; byte <= range->last; ++byte) {
                encoding_.reg_mask = static_cast<std::uint16_t>(encoding_.reg_mask | 1 << (byte >> 3 & 7));
                encoding_.rm_mask = static_cast<std::uint8_t>(encoding_.rm_mask | 1 << (byte & 7));
            }
            return true;
        }
        if (token.size() < 2 || token[0] != '/' || encoding_.has_modrm) return false;
        token.remove_prefix(1);
        const std::size_t colon = token.find(':');
        const std::string_view kind = colon == std::string_view::npos ? "" : token.substr(colon + 1), reg = token.substr(0, colon);
        if (kind == "m") encoding_.mod = ModRequirement::memory;
        else if (kind == "r") encoding_.mod = ModRequirement::reg;
        else if (colon != std::string_view::npos) return false;
        if (reg != "r") {
            const std::size_t dash = reg.find('-');
            const auto first = parse_number(reg.substr(0, dash), 8), last = dash == std::string_view::npos ? first : parse_number(reg.substr(dash + 1), 8);
            if (!first || !last || *first > *last || *last > 7) return false;
            encoding_.reg_mask = 0;
            for (int value = *first; value <= *last; ++value) encoding_.reg_mask = static_cast<std::uint16_t>(encoding_.reg_mask | 1 << value);
        }
        encoding_.has_modrm = true;
        return true;
    }

    bool read_immediate(std::string_view token) {
        const auto imm = token == "/is4" ? Immediate::ib : parse_immediate(token);
        if (!imm || *imm == Immediate::none || encoding_.imm != Immediate::none) return false;
        encoding_.imm = *imm;
        return true;
    }

    bool read_condition(std::string_view token) {
        if (token.size() < 4 || token.front() != '{' || token.back() != '}') return false;
        token = token.substr(1, token.size() - 2);
        if (token == "W0" || token == "W1") {
            if (is_vector_map(encoding_.map)) return false;
            encoding_.w = token == "W1";
            return true;
        }
        if (token == "REX2") {
            if (is_vector_map(encoding_.map)) return false;
            encoding_.requires_rex2 = true;
            return true;
        }
        if (token == "B=0" || token == "B=1") {
            if (is_vector_map(encoding_.map)) return false;
            encoding_.rex_b = token == "B=1";
            return true;
        }
        if (token.rfind("in:", 0) == 0) return read_modes(token.substr(3), true);
        if (token.rfind("not:", 0) == 0) return read_modes(token.substr(4), false);
        if (token.size() != 3 || (token[0] != 'o' && token[0] != 'a')) return false;
        const auto size = parse_number(token.substr(1), 10);
        if (!size || (*size != 16 && *size != 32 && *size != 64)) return false;
        (token[0] == 'o' ? encoding_.osize : encoding_.asize) = static_cast<std::uint8_t>(*size);
        return true;
    }

    bool read_modes(std::string_view list, bool keep) {
        ModeSet named;
        for (std::string_view word : split(list, ',')) {
            const auto mode = parse_mode(word);
            if (!mode) return false;
            named.insert(*mode);
        }
        encoding_.modes.bits = static_cast<std::uint8_t>(encoding_.modes.bits & (keep ? named.bits : ~named.bits));
        return encoding_.modes.bits != 0;
    }

    bool read_rule(std::string_view token) {
        for (const auto& [word, bits] : kRules) {
            if (word != token) continue;
            encoding_.rules.bits |= bits;
            return true;
        }
        return false;
    }

    std::string_view text_;
    std::vector<std::string_view> tokens_;
    std::size_t at_ = 0;
    Encoding encoding_;
    Range opcodes_;
    bool suffix_ = false;
};

}  // namespace

Result<std::vector<Encoding>> parse_slot(std::string_view text) { return SlotReader(text).read(); }

}  // namespace trapline::isa
