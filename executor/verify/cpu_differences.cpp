// SPDX-License-Identifier: Apache-2.0
// Reads x86/cpu-differences.json and looks rows up.
#include "executor/verify/cpu_differences.h"

#include <fmt/format.h>

#include <algorithm>

#include "decode/spec_words.h"
#include "isa/json_reader.h"

namespace trapline::executor {

namespace {

using isa::JsonCursor;

bool is_outcome(std::string_view word) {
    if (word == "executes" || word == "transfers" || word == "hangs" || word == "host call i386" || word == "host call x86-64") return true;
    constexpr std::string_view kDelivered = "delivered ";
    return vector_number(word.rfind(kDelivered, 0) == 0 ? word.substr(kDelivered.size()) : word) >= 0;
}

/// Decides whether a row's "when" holds.
bool read_condition(const JsonCursor& when, const CpuIdentity& cpu, const CpuFeatures& features) {
    if (!when.is_object({"vendor", "hypervisor", "present", "absent"})) return false;
    bool holds = true;
    std::string vendor;
    when.read("vendor", vendor);
    if (!vendor.empty()) holds &= vendor == cpu.vendor;
    if (const auto hypervisor = when.member("hypervisor")) holds &= hypervisor->boolean() == cpu.hypervisor;
    for (const auto& [key, expected] : {std::pair{"present", true}, {"absent", false}}) {
        std::string feature;
        when.read(key, feature);
        if (feature.empty()) continue;
        if (!features.knows(feature)) when.refuse(fmt::format("found feature \"{}\", expected one of {}", feature, CpuFeatures::kFile));
        holds &= features.present(feature) == expected;
    }
    return holds;
}

void read_match(const JsonCursor& match, CpuDifference& out) {
    if (!match.is_object({"map", "opcode", "prefix", "mod", "reg", "rm", "w", "modes"})) return;
    out.by_opcode = true;
    std::string name;
    match.read("map", name, true);
    const auto map = isa::parse_opcode_map(name);
    if (!map) match.refuse(fmt::format("found map \"{}\", expected one of isa-specs/README.md", name));
    out.map = map.value_or(isa::OpcodeMap::one);
    out.opcodes.assign(256, false);
    if (const auto opcodes = match.member("opcode", true)) decode::read_numbers(*opcodes, 16, 256, [&](int opcode) { out.opcodes[static_cast<std::size_t>(opcode)] = true; });
    out.prefix_bits = decode::read_prefixes(match, decode::kAnyPrefix);
    out.mod_bits = decode::read_mod_bits(match);
    out.reg_mask = decode::read_mask(match, "reg", 16);
    out.rm_mask = static_cast<std::uint8_t>(decode::read_mask(match, "rm", 8));
    if (const auto w = match.member("w")) out.w = w->boolean();
    if (const auto modes = match.member("modes")) out.modes = decode::read_modes(*modes);
}

CpuDifference read_row(const JsonCursor& row, const isa::Database& database, const CpuIdentity& cpu, const CpuFeatures& features) {
    CpuDifference out;
    out.modes = decode::all_modes();
    if (!row.is_object({"forms", "match", "modes", "when", "outcomes", "reason", "source"})) return out;
    row.read("forms", out.forms);
    row.read("outcomes", out.outcomes);
    row.read("reason", out.reason, true);
    row.read("source", out.source, true);
    if (const auto modes = row.member("modes")) out.modes = decode::read_modes(*modes);
    if (const auto match = row.member("match")) read_match(*match, out);
    if (out.forms.empty() != out.by_opcode) row.refuse("expected either forms or match");
    if (out.outcomes.empty()) row.refuse("expected outcomes");
    for (const std::string& form : out.forms)
        if (database.find_record(form) == nullptr) row.refuse(fmt::format("found form \"{}\", expected a record's id", form));
    for (const std::string& outcome : out.outcomes)
        if (!is_outcome(outcome)) row.refuse(fmt::format("found outcome \"{}\", expected executes, transfers, hangs, delivered #XX, host call ... or an exception", outcome));
    if (const auto when = row.member("when")) out.applies = read_condition(*when, cpu, features);
    return out;
}

}  // namespace

Result<CpuDifferences> CpuDifferences::parse(std::string_view json, const isa::Database& database, const CpuIdentity& cpu, const CpuFeatures& features) {
    const isa::Json document = isa::Json::parse(json, nullptr, false);
    if (document.is_discarded()) return fail(ErrorCode::malformed, "found text that is not JSON, expected the CPU differences", std::string(kFile));
    std::vector<Error> errors;
    CpuDifferences out;
    const JsonCursor root(document, std::string(kFile), "", errors);
    if (root.is_object({"schema", "title", "reading", "rows"})) {
        if (const auto rows = root.member("rows", true))
            for (const JsonCursor& row : rows->elements()) out.rows_.push_back(read_row(row, database, cpu, features));
    }
    if (!errors.empty()) return tl::unexpected(errors.front());
    return out;
}

const CpuDifference* CpuDifferences::find(const isa::Record* record, const isa::EncodingKey& key, const Observation& observation) const {
    const std::string word = observation.word();
    for (const CpuDifference& row : rows_) {
        if (!row.applies || !row.modes.contains(key.mode) || std::find(row.outcomes.begin(), row.outcomes.end(), word) == row.outcomes.end()) continue;
        if (!row.by_opcode) {
            if (record != nullptr && std::find(row.forms.begin(), row.forms.end(), record->id) != row.forms.end()) return &row;
            continue;
        }
        if (row.map != key.map || !row.opcodes[key.opcode] || (row.prefix_bits & key.prefix) == 0 || (row.w && row.w != key.w)) continue;
        if (key.has_modrm) {
            if ((row.mod_bits & (key.mod == 3 ? decode::kRegisterBit : decode::kMemoryBit)) == 0) continue;
            if ((row.reg_mask >> key.reg & 1) == 0 || (row.rm_mask >> key.rm & 1) == 0) continue;
        }
        return &row;
    }
    return nullptr;
}

}  // namespace trapline::executor
