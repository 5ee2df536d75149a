// SPDX-License-Identifier: Apache-2.0
// Reads isa-specs/x86/decoder-differences.json and looks rows up.
#include "decode/differences.h"


#include <fmt/format.h>

#include "decode/spec_file.h"
#include "decode/spec_words.h"

namespace trapline::decode {
namespace {

using isa::JsonCursor;

constexpr std::size_t kSlotCount = static_cast<std::size_t>(isa::kOpcodeMapCount) * 256;
constexpr std::uint8_t kWithout = 1, kWith = 2;

/// Reads an optional boolean condition as bits.
std::uint8_t read_condition(const JsonCursor& row, std::string_view key) {
    const auto member = row.member(key);
    if (!member) return kWithout | kWith;
    return member->boolean().value_or(false) ? kWith : kWithout;
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
    if (!row.is_object({"decoder", "versions", "match", "says", "truth", "reason", "source"})) return out;
    row.read("decoder", out.decoder, true);
    row.read("versions", out.versions, true);
    row.read("truth", out.truth, true);
    row.read("reason", out.reason, true);
    row.read("source", out.source, true);
    read_says(row, out);
    out.truly_valid = out.truth != "invalid";
    const auto match = row.member("match", true);
    if (!match || !match->is_object({"map", "opcode", "prefix", "mod", "reg", "rm", "lock", "has_66", "rex_ignored", "modes"})) return out;
    out.prefix_bits = read_prefixes(*match, kAnyPrefix);
    out.mod_bits = read_mod_bits(*match);
    out.reg_mask = read_mask(*match, "reg", 16);
    out.rm_mask = static_cast<std::uint8_t>(read_mask(*match, "rm", 8));
    out.lock_bits = read_condition(*match, "lock");
    out.has_66_bits = read_condition(*match, "has_66");
    out.rex_ignored_bits = read_condition(*match, "rex_ignored");
    if (const auto modes = match->member("modes")) out.modes = read_modes(*modes);
    const auto map_member = match->member("map");
    out.has_map = map_member.has_value();
    if (!out.has_map) {
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

Result<DecoderDifferences> DecoderDifferences::parse(std::string_view json, std::string_view file) {
    const isa::Json document = isa::Json::parse(json, nullptr, false);
    if (document.is_discarded())
        return fail(ErrorCode::malformed, "found text that is not JSON, expected the decoder differences", std::string(file));
    std::vector<Error> errors;
    DecoderDifferences out;
    out.slots_.resize(kSlotCount);
    out.corrects_llvm_.resize(kSlotCount);
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
    for (std::size_t slot = 0; slot < kSlotCount; ++slot)
        for (std::uint16_t index : out.slots_[slot])
            if (out.rows_[index].has_map && out.rows_[index].decoder == "llvm-mc") out.corrects_llvm_[slot] = true;
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
    for (std::uint16_t index : slots_[static_cast<std::size_t>(key.map) * 256 + key.opcode]) {
        const Difference& row = rows_[index];
        if (row.decoder != decoder || row.says != says) continue;
        if (!row.modes.contains(key.mode) || (row.prefix_bits & key.prefix) == 0) continue;
        if ((row.lock_bits & (key.lock ? kWith : kWithout)) == 0 || (row.has_66_bits & (key.has_66 ? kWith : kWithout)) == 0) continue;
        if ((row.rex_ignored_bits & (structure.rex_ignored ? kWith : kWithout)) == 0) continue;
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
