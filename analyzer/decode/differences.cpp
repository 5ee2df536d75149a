// SPDX-License-Identifier: Apache-2.0
// Reads isa-specs/x86/decoder-differences.json and looks rows up.
#include "decode/differences.h"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "decode/spec_file.h"
#include "decode/spec_words.h"

namespace trapline::decode {
namespace {

using isa::JsonCursor;

constexpr std::size_t kSlotCount = static_cast<std::size_t>(isa::kOpcodeMapCount) * 256;
/// Words for a condition on one field each; the order gives the bit.
constexpr std::array<std::string_view, 18> kConditions = {"lock",   "has_66", "has_67", "both_reps", "rex", "rex_ignored", "sib", "w",      "vvvv",
                                                          "v_high", "r_high", "x",      "b",         "b4",  "x4",          "z",   "evex_b", "masked"};
constexpr std::array<std::string_view, 6> kSpaces = {"legacy", "rex2", "vex2", "vex3", "evex", "xop"};
/// In the order of StructureStatus.
constexpr std::array<std::string_view, 13> kStatuses = {"ok",         "truncated",      "too_long",         "hole",          "not_in_mode",
                                                        "needs_memory", "needs_register", "prefix_undefined", "prefix_before_vex", "reserved_map",
                                                        "vex_in_real_mode", "rex2_misplaced", "lock_illegal"};

/// Reads a word or a list of words as bits; all bits when the key is absent.
std::uint32_t read_words(const JsonCursor& row, std::string_view key, std::span<const std::string_view> words) {
    const auto member = row.member(key);
    if (!member) return ~std::uint32_t{0};
    std::uint32_t bits = 0;
    for (const JsonCursor& item : member->value().is_string() ? std::vector{*member} : member->elements()) {
        const auto text = item.string();
        if (!text) continue;
        const auto found = std::find(words.begin(), words.end(), *text);
        if (found == words.end()) item.refuse(fmt::format("found {} \"{}\", expected one of {}", key, *text, fmt::join(words, " ")));
        else bits |= std::uint32_t{1} << (found - words.begin());
    }
    return bits;
}

void read_conditions(const JsonCursor& match, Difference& out) {
    for (std::size_t bit = 0; bit < kConditions.size(); ++bit)
        if (const auto member = match.member(kConditions[bit])) {
            const auto value = member->boolean();
            if (value) (*value ? out.with : out.without) |= ConditionSet{1} << bit;
        }
    out.l_mask = static_cast<std::uint8_t>(read_mask(match, "l", 4));
    out.space_bits = static_cast<std::uint8_t>(read_words(match, "space", kSpaces));
    out.status_bits = static_cast<std::uint16_t>(read_words(match, "status", kStatuses));
}

void read_says(const JsonCursor& row, Difference& out) {
    std::string text;
    row.read("says", text, true);
    const std::size_t blank = text.find(' ');
    const std::string_view kind = std::string_view(text).substr(0, blank);
    if (kind == "invalid") {
        out.says = Says::invalid;
    } else if (kind == "valid") {
        out.says = Says::valid;
    } else if (kind == "length") {
        out.says = Says::length;
    } else if (kind == "mnemonic") {
        out.says = Says::mnemonic;
        if (blank != std::string::npos) out.mnemonic = text.substr(blank + 1);
    } else {
        row.refuse(fmt::format("found says \"{}\", expected invalid, valid, length, mnemonic or mnemonic NAME", text));
    }
}

/// Reads one row; `visit` is called with each slot it speaks of.
Difference read_row(const JsonCursor& row, const std::function<void(std::size_t)>& visit) {
    Difference out;
    out.modes = all_modes();
    if (!row.is_object({"decoder", "versions", "match", "says", "truth", "until", "reason", "source"})) return out;
    row.read("decoder", out.decoder, true);
    row.read("versions", out.versions, true);
    row.read("truth", out.truth, true);
    row.read("reason", out.reason, true);
    row.read("source", out.source, true);
    read_says(row, out);
    if (const auto until = row.member("until")) {
        const auto era = isa::parse_era(until->string().value_or(""));
        if (era) out.until = *era;
        else until->refuse("found no generation, expected one of isa-specs/README.md");
    }
    const auto match = row.member("match", true);
    if (!match || !match->is_object({"map",  "opcode", "prefix", "mod", "reg", "rm", "l",  "space",  "status", "modes", "lock", "has_66", "has_67", "both_reps",
                                     "rex",  "rex_ignored", "sib", "w", "vvvv", "v_high", "r_high", "x", "b", "b4", "x4", "z", "evex_b", "masked"}))
        return out;
    read_conditions(*match, out);
    out.prefix_bits = read_prefixes(*match, kAnyPrefix);
    out.mod_bits = read_mod_bits(*match);
    out.reg_mask = read_mask(*match, "reg", 16);
    out.rm_mask = static_cast<std::uint8_t>(read_mask(*match, "rm", 8));
    if (const auto modes = match->member("modes")) out.modes = read_modes(*modes);
    const auto map_member = match->member("map");
    if (!map_member) {
        for (std::size_t slot = 0; slot < kSlotCount; ++slot) visit(slot);
        return out;
    }
    const std::string map_name = map_member->string().value_or("");
    const auto map = isa::parse_opcode_map(map_name);
    if (!map) match->refuse(fmt::format("found map \"{}\", expected one of isa-specs/README.md", map_name));
    const auto opcodes = match->member("opcode", true);
    if (map && opcodes)
        read_numbers(*opcodes, 16, 256, [&](int opcode) { visit(static_cast<std::size_t>(*map) * 256 + opcode); });
    return out;
}

}  // namespace

ConditionSet conditions_of(const Structure& structure) {
    const isa::EncodingKey& key = structure.key;
    const bool vector = isa::is_vector_map(key.map), evex = structure.space == EncodingSpace::evex, long_mode = key.mode == Mode::long64;
    const auto [p0, p1, p2] = key.payload;
    const bool facts[kConditions.size()] = {
        key.lock,
        key.has_66,
        structure.has_67,
        structure.both_reps,
        structure.rex != 0,
        structure.rex_ignored,
        key.has_sib,
        key.w,
        vector && key.vvvv != 0xF,
        evex && (p2 & 0x08) == 0,
        evex && (p0 & 0x10) == 0,
        vector && long_mode && (p0 & 0x40) == 0,
        vector && (p0 & 0x20) == 0,
        evex && (p0 & 0x08) != 0,
        evex && (p1 & 0x04) == 0,
        evex && (p2 & 0x80) != 0,
        evex && (p2 & 0x10) != 0,
        evex && (p2 & 0x07) != 0,
    };
    ConditionSet out = 0;
    for (std::size_t bit = 0; bit < kConditions.size(); ++bit) out |= static_cast<ConditionSet>(facts[bit]) << bit;
    return out;
}

std::string describe_conditions(ConditionSet conditions) {
    std::string text;
    for (std::size_t bit = 0; bit < kConditions.size(); ++bit)
        if ((conditions >> bit & 1) != 0) text.append(text.empty() ? "" : " ").append(kConditions[bit]);
    return text;
}

Result<DecoderDifferences> DecoderDifferences::parse(std::string_view json, std::string_view file) {
    const isa::Json document = isa::Json::parse(json, nullptr, false);
    if (document.is_discarded())
        return fail(ErrorCode::malformed, "found text that is not JSON, expected the decoder differences", std::string(file));
    std::vector<Error> errors;
    DecoderDifferences out;
    out.slots_.resize(kSlotCount);
    const JsonCursor root(document, std::string(file), "", errors);
    if (root.is_object({"schema", "title", "reading", "spellings", "rows"})) {
        std::string schema;
        root.read("schema", schema, true);
        if (schema != "trapline.decoder-differences/1")
            root.refuse(fmt::format("found schema \"{}\", expected trapline.decoder-differences/1", schema));
        if (const auto groups = root.member("spellings", true)) {
            int number = 0;
            for (const JsonCursor& group : groups->elements()) {
                for (const JsonCursor& word : group.elements()) {
                    const auto text = word.string();
                    if (text && !out.spellings_.emplace(*text, number).second)
                        word.refuse(fmt::format("found \"{}\" in a second group, expected one", *text));
                }
                ++number;
            }
        }
        if (const auto rows = root.member("rows", true)) {
            for (const JsonCursor& row : rows->elements()) {
                const auto index = static_cast<std::uint16_t>(out.rows_.size());
                out.rows_.push_back(read_row(row, [&](std::size_t slot) { out.slots_[slot].push_back(index); }));
            }
        }
    }
    if (!errors.empty()) return tl::unexpected(errors.front());
    return out;
}

const DecoderDifferences& DecoderDifferences::embedded() {
    static const DecoderDifferences differences = [] {
        constexpr std::string_view kFile = "x86/decoder-differences.json";
        auto parsed = parse(embedded_spec_text(kFile), kFile);
        TRAPLINE_ASSERT(parsed.has_value(), parsed.has_value() ? "" : parsed.error().describe().c_str());
        return std::move(*parsed);
    }();
    return differences;
}

const Difference* DecoderDifferences::find(std::string_view decoder, const Structure& structure, Says says,
                                           std::string_view mnemonic) const {
    const isa::EncodingKey& key = structure.key;
    const ConditionSet conditions = conditions_of(structure);
    for (std::uint16_t index : slots_[static_cast<std::size_t>(key.map) * 256 + key.opcode]) {
        const Difference& row = rows_[index];
        if (row.decoder != decoder || row.says != says) continue;
        if (!row.modes.contains(key.mode) || (row.prefix_bits & key.prefix) == 0) continue;
        if ((row.with & ~conditions) != 0 || (row.without & conditions) != 0) continue;
        if ((row.space_bits >> static_cast<int>(structure.space) & 1) == 0 || (row.status_bits >> static_cast<int>(structure.status) & 1) == 0) continue;
        if ((row.l_mask >> key.l & 1) == 0) continue;
        if (key.has_modrm) {
            if ((row.mod_bits & (key.mod == 3 ? kRegisterBit : kMemoryBit)) == 0) continue;
            if ((row.reg_mask >> key.reg & 1) == 0 || (row.rm_mask >> key.rm & 1) == 0) continue;
        }
        if (!row.mnemonic.empty() && row.mnemonic != mnemonic) continue;
        return &row;
    }
    return nullptr;
}

bool DecoderDifferences::same_mnemonic(std::string_view left, std::string_view right) const {
    if (left == right) return true;
    // Only called where names differ, which is rare: the temporary strings do not matter.
    const auto a = spellings_.find(std::string(left)), b = spellings_.find(std::string(right));
    return a != spellings_.end() && b != spellings_.end() && a->second == b->second;
}

}  // namespace trapline::decode
