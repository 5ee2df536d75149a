// SPDX-License-Identifier: Apache-2.0
// Fields are found by assembling the same text with other values: what differs is the field. That holds for every
// encoding the assembler may choose, and a template need not say where its fields are.
#include "patch/template_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "decode/assembler.h"

namespace trapline::patch {
namespace {

/// Two values for each kind of field, which differ in each byte and need all four.
constexpr std::array<std::uint32_t, 2> kSites = {0x11111111, 0x22222222}, kResumes = {0x33333333, 0x44444444};
/// Moves a template such that every byte of a relative field changes: subtracting 01010101 takes 1 or 2 from each.
constexpr std::uint64_t kShift = 0x01010101;

/// General registers by number: 16, 32 and 64 bits wide.
constexpr std::array<std::array<std::string_view, 3>, 8> kRegisters = {{{"ax", "eax", "rax"}, {"cx", "ecx", "rcx"}, {"dx", "edx", "rdx"},
    {"bx", "ebx", "rbx"}, {"sp", "esp", "rsp"}, {"bp", "ebp", "rbp"}, {"si", "esi", "rsi"}, {"di", "edi", "rdi"}}};

std::string register_name(int number, int bits) {
    if (number < 8) return std::string(kRegisters[static_cast<std::size_t>(number)][bits == 64 ? 2 : bits == 32 ? 1 : 0]);
    return fmt::format("r{}{}", number, bits == 64 ? "" : bits == 32 ? "d" : "w");
}

/// MOV from a control register: always a register, whatever ModRM.mod says, and as wide as the mode (SDM volume 2, "MOV -
/// Move to/from Control Registers").
bool moves_from_control_register(const decode::Structure& s) {
    return s.space == decode::EncodingSpace::legacy && s.key.map == isa::OpcodeMap::m0f && s.key.opcode == 0x20;
}

int operand_bits(const GuestInstruction& insn) {
    return moves_from_control_register(insn.structure) ? width_bits(insn.mode) : insn.structure.osize;
}

/// The general register that ModRM.rm names; empty for memory.
std::string operand_register(const GuestInstruction& insn) {
    const decode::Structure& s = insn.structure;
    if (!s.key.has_modrm || (s.key.mod != 3 && !moves_from_control_register(s))) return {};
    return register_name(s.key.rm + ((s.rex & 1) != 0 ? 8 : 0), operand_bits(insn));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

/// Gives the offsets of 4-byte fields in which all bytes differ between two assemblies of equal length; nothing when a
/// difference has another shape.
std::optional<std::vector<std::uint32_t>> differing_fields(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
    if (a.size() != b.size()) return std::nullopt;
    std::vector<std::uint32_t> fields;
    for (std::size_t i = 0; i < a.size();) {
        if (a[i] == b[i]) {
            ++i;
            continue;
        }
        if (i + 4 > a.size()) return std::nullopt;
        for (std::size_t k = i; k < i + 4; ++k)
            if (a[k] == b[k]) return std::nullopt;
        fields.push_back(static_cast<std::uint32_t>(i));
        i += 4;
    }
    return fields;
}

std::uint32_t get32(const std::vector<std::uint8_t>& bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= std::uint32_t{bytes[at + i]} << (8 * i);
    return value;
}

void set32(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint64_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

std::string symbol_of(const isa::AbiField& field) { return fmt::format("template_{}_{}", isa::to_string(field.page), field.name); }

/// A template's line for the assembler and for people.
struct Line {
    std::string code;  ///< addresses are symbols, {site} and {resume} stay
    std::string text;  ///< addresses are numbers; {site}, {resume} and {gate} stay
};

/// Replaces the placeholders of a line; the fields it meets go to `fields`.
Result<Line> expand_line(const isa::Abi& abi, const isa::AbiArea& area, const std::string& line, const std::string& reg,
                         std::map<std::string, std::uint64_t>& symbols) {
    using Kind = isa::AbiPlaceholder::Kind;
    const auto bad = [&](std::string what) { return fail(ErrorCode::malformed, fmt::format("found {} in the template line \"{}\"", what, line), abi.file); };
    Line out;
    std::size_t at = 0;
    while (true) {
        const std::size_t open = line.find('{', at);
        out.code += line.substr(at, open - at);
        out.text += line.substr(at, open - at);
        if (open == std::string::npos) return out;
        const std::size_t close = line.find('}', open);
        if (close == std::string::npos) return bad("an open brace without its end");
        const std::string name = line.substr(open + 1, close - open - 1);
        const auto placeholder = abi.parse_placeholder(name);
        if (!placeholder) return bad(fmt::format("the unknown placeholder {{{}}}", name));
        at = close + 1;
        switch (placeholder->kind) {
            case Kind::field: {
                const std::uint64_t address = area.address(*placeholder->field).value;
                symbols[symbol_of(*placeholder->field)] = address;
                out.code += symbol_of(*placeholder->field);
                out.text += fmt::format("{:#x}", address);
                break;
            }
            case Kind::gate:
                symbols["template_gate"] = area.gate.value;
                out.code += "template_gate";
                out.text += fmt::format("{:#x}", area.gate.value);
                break;
            case Kind::reg:
                if (reg.empty()) return bad("{reg} for an instruction without a general register");
                out.code += reg;
                out.text += reg;
                break;
            case Kind::label:
                out.code += fmt::format("template_label_{}", placeholder->label);
                out.text += placeholder->label;
                break;
            case Kind::next:
                out.code += "template_next";
                out.text += "next";
                break;
            case Kind::site:
            case Kind::resume:
                out.code += '{' + name + '}';
                out.text += '{' + name + '}';
                break;
        }
    }
}

}  // namespace

Result<std::vector<std::uint8_t>> TemplateAssembler::assemble_at(const isa::AbiTemplate& source, const std::string& text, std::uint64_t base) const {
    return decode::assemble(text, source.mode, VirtAddr{base})
        .map([](decode::Assembled&& assembled) { return std::move(assembled.bytes); })
        .map_error([&](Error&& error) {
            error.file = abi_->file;
            return std::move(error).within("template \"" + source.title + "\"");
        });
}

Result<const TemplateCode*> TemplateAssembler::find(const GuestInstruction& insn, const std::string& form, bool anywhere) {
    const isa::AbiArea* area = abi_->find_area(insn.mode);
    const isa::AbiTemplate* source = area == nullptr ? nullptr : abi_->find_template(form, insn.mode, operand_bits(insn), anywhere);
    if (source == nullptr) return nullptr;
    auto code = assemble(*source, *area, operand_register(insn), insn.mode);
    if (!anywhere || !code || (*code)->is_placeable()) return code;
    source = abi_->find_hypercall(insn.mode, true);
    if (source == nullptr) return nullptr;
    code = assemble(*source, *area, {}, insn.mode);
    if (code && !(*code)->is_placeable()) return fail(ErrorCode::malformed, fmt::format("found a field that hangs on its place in the template \"{}\", which is to run anywhere", source->title), abi_->file);
    return code;
}

Result<const TemplateCode*> TemplateAssembler::assemble(const isa::AbiTemplate& the_source, const isa::AbiArea& area, const std::string& reg, Mode mode) {
    const isa::AbiTemplate* const source = &the_source;
    const auto key = std::pair(source, reg);
    if (const auto found = known_.find(key); found != known_.end()) return &found->second;

    TemplateCode code;
    code.base = area.stubs.begin.value;
    code.source = source;
    std::string text;
    std::map<std::string, std::uint64_t> symbols;
    for (const std::string& line : source->lines) {
        auto expanded = expand_line(*abi_, area, line, reg, symbols);
        if (!expanded) return tl::unexpected(expanded.error());
        text += expanded->code + '\n';
        code.lines.push_back(std::move(expanded->text));
    }
    text += "template_next:\n";
    // Symbols, because the assembler takes a bare number behind `jmp` for nothing and one behind `rip +` for a displacement.
    // In 32-bit code as signed numbers of 32 bits: LLVM computes displacements with 64.
    for (const auto& [name, value] : symbols)
        text += fmt::format(".set {}, {}\n", name, mode == Mode::long64 ? static_cast<std::int64_t>(value) : std::int64_t{static_cast<std::int32_t>(value)});
    const auto with = [&](std::uint32_t site, std::uint32_t resume) {
        std::string filled = text;
        replace_all(filled, "{site}", fmt::format("{:#x}", site));
        replace_all(filled, "{resume}", fmt::format("{:#x}", resume));
        return filled;
    };
    const std::string plain = with(kSites[0], kResumes[0]);
    const auto bytes = assemble_at(*source, plain, code.base), site = assemble_at(*source, with(kSites[1], kResumes[0]), code.base),
               resume = assemble_at(*source, with(kSites[0], kResumes[1]), code.base), shifted = assemble_at(*source, plain, code.base + kShift);
    for (const auto* one : {&bytes, &site, &resume, &shifted})
        if (!*one) return tl::unexpected(one->error());
    const auto site_fields = differing_fields(*bytes, *site), resume_fields = differing_fields(*bytes, *resume), placed_fields = differing_fields(*bytes, *shifted);
    if (!site_fields || !resume_fields || !placed_fields)
        return fail(ErrorCode::malformed, fmt::format("found fields of other than four bytes in the template \"{}\"", source->title), abi_->file);
    code.bytes = *bytes;
    code.site_fields = *site_fields;
    code.resume_fields = *resume_fields;
    // An address of the template itself grows with the shift; a displacement to a fixed place shrinks.
    for (const std::uint32_t field : *placed_fields) {
        const std::uint32_t change = get32(*shifted, field) - get32(*bytes, field);
        if (change != static_cast<std::uint32_t>(kShift) && change != static_cast<std::uint32_t>(-kShift))
            return fail(ErrorCode::malformed, fmt::format("found a field in the template \"{}\" that is neither an address nor a displacement", source->title), abi_->file);
        (change == static_cast<std::uint32_t>(kShift) ? code.own_fields : code.relative_fields).push_back(field);
    }
    const auto hang_on_place = [&](const std::vector<std::uint32_t>& fields, FixupKind kind) {
        for (const std::uint32_t field : fields) code.fixups.push_back({field, kind});
    };
    hang_on_place(code.resume_fields, FixupKind::stub_address);
    hang_on_place(code.own_fields, FixupKind::stub_address);
    hang_on_place(code.relative_fields, FixupKind::fixed_relative);
    std::sort(code.fixups.begin(), code.fixups.end(), [](const StubFixup& a, const StubFixup& b) { return a.offset < b.offset; });
    return &known_.emplace(key, std::move(code)).first->second;
}

std::optional<std::vector<std::uint8_t>> fill_template(const TemplateCode& code, std::uint64_t at, std::uint32_t site, std::uint64_t resume) {
    std::vector<std::uint8_t> bytes = code.bytes;
    for (const std::uint32_t field : code.site_fields) set32(bytes, field, site);
    for (const std::uint32_t field : code.resume_fields) set32(bytes, field, resume);
    for (const std::uint32_t field : code.own_fields) set32(bytes, field, get32(code.bytes, field) + (at - code.base));
    for (const std::uint32_t field : code.relative_fields) {
        const std::uint64_t target = code.base + field + 4 + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(get32(code.bytes, field))});
        const std::uint64_t distance = target - (at + field + 4);
        if (code.source->mode == Mode::long64 && static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(distance)}) != distance) return std::nullopt;
        set32(bytes, field, distance);
    }
    return bytes;
}

}  // namespace trapline::patch
