// SPDX-License-Identifier: Apache-2.0
// Tables of an interface as C and as Markdown.
#include "isa/abi_export.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <set>

namespace trapline::isa {

namespace {

// An identifier: letters in the case asked for, everything else an underscore.
std::string identifier(std::string_view text, bool upper) {
    std::string out;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        const char lower = letter ? static_cast<char>(c | 0x20) : c;
        out += !letter && !digit ? '_' : letter && upper ? static_cast<char>(lower & ~0x20) : lower;
    }
    return out;
}

std::vector<const AbiField*> fields_of(const Abi& abi, AbiPage page) {
    std::vector<const AbiField*> fields;
    for (const AbiField& field : abi.fields)
        if (field.page == page) fields.push_back(&field);
    std::sort(fields.begin(), fields.end(), [](const AbiField* a, const AbiField* b) { return a->offset < b->offset; });
    return fields;
}

constexpr std::array kPages = {AbiPage::vcpu, AbiPage::pending};

// A power of two of bytes as an integer; anything else, which lint refuses, as bytes.
std::string declaration(const AbiField& field) {
    if (field.size == 1 || field.size == 2 || field.size == 4 || field.size == 8) return fmt::format("uint{}_t {};", field.size * 8, field.name);
    return fmt::format("uint8_t {}[{}];", field.name, field.size);
}

void append_structure(const Abi& abi, AbiPage page, std::string& out) {
    const auto fields = fields_of(abi, page);
    if (fields.empty()) return;
    const std::string name = fmt::format("{}_{}_page", identifier(abi.id, false), to_string(page));
    out += fmt::format("\nstruct {} {{\n", name);
    std::uint32_t at = 0;
    const auto pad = [&](std::uint32_t end) {
        if (at < end) out += fmt::format("    uint8_t reserved_{:x}[{}];\n", at, end - at);
        at = end;
    };
    for (const AbiField* field : fields) {
        pad(field->offset);
        out += fmt::format("    {:27} /* {} */\n", declaration(*field), field->title);
        at = field->offset + field->size;
    }
    pad(kAbiPageBytes);
    out += "};\n";
    const std::string prefix = identifier(abi.id, true);
    const auto check = [&](const std::string& condition, std::string_view what) { out += fmt::format("{}_STATIC_ASSERT({}, \"{}\");\n", prefix, condition, what); };
    for (const AbiField* field : fields) check(fmt::format("offsetof(struct {}, {}) == {:#x}", name, field->name, field->offset), field->name);
    check(fmt::format("sizeof(struct {}) == {}", name, kAbiPageBytes), name);
}

std::string code(std::string_view text) { return fmt::format("`{}`", text); }

// The cell of a Markdown table: no bar may end it early.
std::string cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return text;
}

std::string hex_or_empty(std::optional<std::uint32_t> number) { return number ? fmt::format("{:#x}", *number) : ""; }

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + code(word);
    return text;
}

std::string bytes_and_forms(const AbiTemplate& entry) {
    std::string text = entry.forms.empty() ? entry.anywhere ? "every other form, in code that moves itself" : "every other form" : joined(entry.forms);
    if (!entry.operand_sizes.empty()) text += fmt::format(" ({} bits)", fmt::join(entry.operand_sizes, ", "));
    return text;
}

}  // namespace

std::string render_c_header(const Abi& abi) {
    const std::string prefix = identifier(abi.id, true);
    std::string out = fmt::format("/* SPDX-License-Identifier: Apache-2.0 */\n/* {}, version {}. Generated from isa-specs/{}: change that file, not this one. */\n"
                                  "#ifndef {}_ABI_H\n#define {}_ABI_H\n\n#define {}_ABI_MAJOR {}\n#define {}_ABI_MINOR {}\n\n",
                                  abi.title, abi.version(), abi.file, prefix, prefix, prefix, abi.major_version, prefix, abi.minor_version);
    out += fmt::format("#ifdef __ASSEMBLER__\n#define {0}_ADDRESS(value) value\n#else\n#define {0}_ADDRESS(value) value##ull\n#endif\n", prefix);
    for (const AbiArea& area : abi.areas) {
        out += fmt::format("\n/* Guest-linear addresses in code of mode {}. */\n", to_string(area.mode));
        const auto define = [&](std::string_view name, VirtAddr value) {
            out += fmt::format("#define {}_{}_{} {}_ADDRESS(0x{:X})\n", prefix, identifier(to_string(area.mode), true), name, prefix, value.value);
        };
        define("STUBS_BEGIN", area.stubs.begin);
        define("STUBS_END", area.stubs.end);
        define("GATE", area.gate);
        define("VCPU", area.vcpu);
        define("PENDING", area.pending);
    }
    for (const AbiPage page : kPages) {
        const auto fields = fields_of(abi, page);
        if (!fields.empty()) out += fmt::format("\n/* Offsets in the {} page. */\n", to_string(page));
        for (const AbiField* field : fields) out += fmt::format("#define {}_{}_{} {:#x}\n", prefix, identifier(to_string(page), true), identifier(field->name, true), field->offset);
    }
    // Calls by number; several operations may share one, and its name is the same then (lint).
    std::map<std::uint32_t, std::string> calls;
    std::set<std::pair<std::string, std::pair<std::uint32_t, std::string>>> commands;
    for (const AbiOperation& operation : abi.operations)
        for (const AbiCall& call : operation.calls) {
            if (call.number) calls.emplace(*call.number, call.name);
            if (call.command_number) commands.insert({call.name, {*call.command_number, call.command}});
        }
    if (!calls.empty()) out += "\n/* Numbers of calls. */\n";
    for (const auto& [number, name] : calls) out += fmt::format("#define {}_CALL_{} {:#x}\n", prefix, identifier(name, true), number);
    if (!commands.empty()) out += "\n/* Commands of calls that have them. */\n";
    for (const auto& [call, command] : commands) out += fmt::format("#define {}_{}_{} {:#x}\n", prefix, identifier(call, true), identifier(command.second, true), command.first);
    if (!abi.fields.empty()) {
        out += fmt::format("\n#ifndef __ASSEMBLER__\n#include <stddef.h>\n#include <stdint.h>\n\n#ifdef __cplusplus\n#define {0}_STATIC_ASSERT static_assert\n#else\n"
                           "#define {0}_STATIC_ASSERT _Static_assert\n#endif\n",
                           prefix);
        for (const AbiPage page : kPages) append_structure(abi, page, out);
        out += fmt::format("\n#undef {}_STATIC_ASSERT\n#endif\n", prefix);
    }
    return out + fmt::format("\n#endif /* {}_ABI_H */\n", prefix);
}

std::string render_markdown_tables(const Abi& abi) {
    std::string out;
    const auto begin = [&](std::string_view name, std::string_view head) {
        out += fmt::format("<!-- table {} -->\n{}\n|", name, head);
        for (auto bars = std::count(head.begin(), head.end(), '|') - 1; bars > 0; --bars) out += "---|";
        out += "\n";
    };
    const auto end = [&] { out += "<!-- end -->\n"; };
    begin("version", "| interface | version |");
    out += fmt::format("| {} | {} |\n", code(abi.id), abi.version());
    end();
    if (!abi.areas.empty()) {
        begin("areas", "| mode | stubs | gate | vCPU page | pending page |");
        for (const AbiArea& area : abi.areas)
            out += fmt::format("| {} | 0x{:X} to 0x{:X} | 0x{:X} | 0x{:X} | 0x{:X} |\n", to_string(area.mode), area.stubs.begin.value, area.stubs.end.value, area.gate.value,
                               area.vcpu.value, area.pending.value);
        end();
    }
    for (const AbiPage page : kPages) {
        const auto fields = fields_of(abi, page);
        if (fields.empty()) continue;
        begin(to_string(page), "| offset | bytes | field | holds |");
        for (const AbiField* field : fields) out += fmt::format("| {:#05x} | {} | {} | {} |\n", field->offset, field->size, code(field->name), cell(field->title));
        end();
    }
    begin("operations", "| operation | number | call | fit | note |");
    for (const AbiOperation& operation : abi.operations) {
        const std::string name = code(operation.operation) + (operation.forms.empty() ? "" : " (" + joined(operation.forms) + ")");
        out += fmt::format("| {} | {} | {} | {} | {} |\n", name, hex_or_empty(operation.number()), cell(operation.call()), to_string(operation.fit), cell(operation.note));
    }
    end();
    if (!abi.templates.empty()) {
        begin("templates", "| mode | forms | does | stack bytes | code |");
        for (const AbiTemplate& entry : abi.templates) {
            std::string lines;
            for (const std::string& line : entry.lines) lines += (lines.empty() ? "" : "<br>") + code(line);
            out += fmt::format("| {} | {} | {} | {} | {} |\n", to_string(entry.mode), bytes_and_forms(entry), cell(entry.title), entry.stack_bytes, cell(lines));
        }
        end();
    }
    return out;
}

}  // namespace trapline::isa
