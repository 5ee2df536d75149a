// SPDX-License-Identifier: Apache-2.0
// One printer for each kind of row; a table is a constant array of them.
#include "decode/generator/emit.h"

#include <cstdio>
#include <fstream>

#include <fmt/format.h>

namespace trapline::decode {
namespace {

constexpr std::size_t kRowsPerLine = 8;

std::string print(const Slot& slot) {
    return fmt::format("{{SlotForm({}),Immediate({}),RegField({}),ModRequirement({}),OperandSize64({}),{{{}}},{{{}}},{},{},{}}}", static_cast<int>(slot.form),
                       static_cast<int>(slot.imm), static_cast<int>(slot.reg_field), static_cast<int>(slot.mod), static_cast<int>(slot.osize64),
                       slot.prefix.bits, slot.modes.bits, slot.lock, slot.case_count, slot.case_begin);
}

std::string print(const SlotCase& one) {
    return fmt::format("{{{},{},{},{},{{{}}},{}}}", one.prefix_bits, one.mod_bits, one.reg_mask, one.rm_mask, one.modes.bits, print(one.slot));
}

std::string print(const Claim& claim) {
    const isa::Encoding& e = claim.encoding;
    const auto bit = [](std::optional<bool> value) { return value ? (*value ? "true" : "false") : "std::nullopt"; };
    return fmt::format("{{{{OpcodeMap({}),{},{{{}}},{},ModRequirement({}),{},{},Immediate({}),{},OperandSize64({}),{},{},{},{},{},{},{},{},{{{}}},{{{}}}}},{},{}}}",
                       static_cast<int>(e.map), e.opcode, e.prefix.bits, e.has_modrm, static_cast<int>(e.mod), e.reg_mask, e.rm_mask, static_cast<int>(e.imm),
                       e.osize, static_cast<int>(e.osize64), e.asize, bit(e.w), bit(e.rex_b), e.requires_rex2, e.l_mask, e.vvvv_unused, e.lock_allowed, e.requires_lock, e.modes.bits, e.rules.bits,
                       claim.form, claim.certain);
}

std::string print(const Choice& choice) { return fmt::format("{{{},{}}}", choice.begin, choice.count); }
std::string print(const SlotIndex& index) { return fmt::format("{{{},{}}}", index.base, index.selector); }
std::string print(const FastEntry& entry) { return fmt::format("{{{:#x}}}", entry.bits); }
std::string print(std::uint16_t number) { return fmt::format("{}", number); }

template <class Row>
void emit(std::string& out, std::string_view type, std::string_view name, std::span<const Row> rows) {
    out += fmt::format("constexpr std::array<{}, {}> {} = {{{{\n", type, rows.size(), name);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        out += print(rows[i]);
        out += (i + 1) % kRowsPerLine == 0 ? ",\n" : ",";
    }
    out += "}};\n\n";
}

}  // namespace

Status write_decoder_source(const std::string& path, std::string_view database_version, const OpcodeMaps& maps, const FormTables& tables) {
    std::string out =
        "// Generated from isa-specs/ by generate_decoder; the next build overwrites it.\n"
        "#include <array>\n\n#include \"decode/form_tables.h\"\n\nnamespace trapline::decode {\nnamespace {\n\n"
        "using isa::Immediate, isa::ModRequirement, isa::OpcodeMap, isa::OperandSize64;\n\n";
    emit<Slot>(out, "Slot", "kShapes", maps.slots());
    emit(out, "SlotCase", "kCases", maps.cases());
    emit(out, "SlotIndex", "kSlots", tables.slots);
    emit(out, "std::uint16_t", "kBuckets", tables.buckets);
    emit(out, "Choice", "kChoices", tables.choices);
    emit(out, "std::uint16_t", "kClaimLists", tables.claim_lists);
    emit(out, "Claim", "kClaims", tables.claims);
    emit(out, "FastEntry", "kPages", tables.pages);
    emit(out, "FormIndex", "kLeaves", tables.leaves);
    out += fmt::format(
        "constexpr FormTables kTables = {{kSlots, kBuckets, kChoices, kClaimLists, kClaims, kPages, kLeaves}};\n\n}}  // namespace\n\n"
        "const FormTables& generated_form_tables() {{ return kTables; }}\n"
        "std::string_view generated_database_version() {{ return \"{}\"; }}\n"
        "const OpcodeMaps& OpcodeMaps::generated() {{\n    static const OpcodeMaps maps(kShapes, kCases);\n    return maps;\n}}\n\n"
        "}}  // namespace trapline::decode\n",
        database_version);
    const std::string partial = path + ".partial";
    std::ofstream stream(partial, std::ios::binary | std::ios::trunc);
    stream << out;
    stream.close();
    if (!stream || std::rename(partial.c_str(), path.c_str()) != 0) {
        std::remove(partial.c_str());
        return fail(ErrorCode::io, "cannot write the generated decoder", path);
    }
    return {};
}

}  // namespace trapline::decode
