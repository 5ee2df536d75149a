// SPDX-License-Identifier: Apache-2.0
// JSON to Abi. Addresses and offsets are strings "0x..."; other numbers may be, where people know
// them in hexadecimal.
#include "isa/abi_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace trapline::isa {

namespace {

constexpr std::array<std::string_view, 5> kDocuments = {"executor-abi", "xen-public", "xen-source", "pvm-spec", "pvm-header"};

std::uint64_t parse_hex(const JsonCursor& cursor, std::uint64_t limit) {
    const auto text = cursor.string();
    if (!text) return 0;
    std::uint64_t value = 0;
    const char* const end = text->data() + text->size();
    const auto parsed = text->starts_with("0x") && text->size() > 2 ? std::from_chars(text->data() + 2, end, value, 16)
                                                                    : std::from_chars_result{text->data(), std::errc::invalid_argument};
    if (parsed.ec == std::errc{} && parsed.ptr == end && value <= limit) return value;
    cursor.refuse("found \"" + *text + "\", expected hex such as 0xFE000000 that fits its place");
    return 0;
}

std::uint64_t read_hex(const JsonCursor& parent, std::string_view key, std::uint64_t limit) {
    const auto found = parent.member(key, true);
    return found ? parse_hex(*found, limit) : 0;
}

std::optional<std::uint32_t> read_number(const JsonCursor& parent, std::string_view key, bool required, int low = 0, int high = std::numeric_limits<int>::max()) {
    const auto found = parent.member(key, required);
    if (found && found->value().is_string()) return static_cast<std::uint32_t>(parse_hex(*found, static_cast<std::uint64_t>(high)));
    const auto value = found ? found->integer(low, high) : std::nullopt;
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

Mode read_mode(const JsonCursor& parent) {
    std::string text;
    parent.read("mode", text, true);
    const auto mode = parse_mode(text);
    if (!mode) parent.refuse("unknown mode \"" + text + "\", expected 16r, 16p, 32 or 64");
    return mode.value_or(Mode::long64);
}

std::vector<Source> read_abi_sources(const JsonCursor& parent, bool required) {
    std::vector<Source> out;
    const auto list = parent.member("sources", required);
    if (!list) return out;
    for (const JsonCursor& item : list->elements()) {
        if (!item.is_object({"doc", "section"})) continue;
        Source source;
        item.read("doc", source.doc, true);
        item.read("section", source.section, true);
        if (std::find(kDocuments.begin(), kDocuments.end(), source.doc) == kDocuments.end())
            item.refuse("unknown document \"" + source.doc + "\" (isa-specs/README.md lists them)");
        out.push_back(std::move(source));
    }
    if (out.empty()) list->refuse("expected at least one source");
    return out;
}

AbiArea read_area(const JsonCursor& item) {
    AbiArea area;
    if (!item.is_object({"mode", "stubs", "gate", "vcpu", "pending"})) return area;
    area.mode = read_mode(item);
    const std::uint64_t limit = area.mode == Mode::long64 ? std::numeric_limits<std::uint64_t>::max() : std::numeric_limits<std::uint32_t>::max();
    if (const auto stubs = item.member("stubs", true); stubs && stubs->is_object({"begin", "end"}))
        area.stubs = {{read_hex(*stubs, "begin", limit)}, {read_hex(*stubs, "end", limit)}};
    area.gate = {read_hex(item, "gate", limit)};
    area.vcpu = {read_hex(item, "vcpu", limit)};
    area.pending = {read_hex(item, "pending", limit)};
    return area;
}

AbiField read_field(const JsonCursor& item) {
    AbiField field;
    if (!item.is_object({"name", "page", "offset", "size", "title"})) return field;
    item.read("name", field.name, true);
    item.read("title", field.title, true);
    std::string page;
    item.read("page", page, true);
    if (page == to_string(AbiPage::pending)) field.page = AbiPage::pending;
    else if (page != to_string(AbiPage::vcpu)) item.refuse("unknown page \"" + page + "\", expected vcpu or pending");
    field.offset = static_cast<std::uint32_t>(read_hex(item, "offset", kAbiPageBytes - 1));
    field.size = read_number(item, "size", true, 1, 8).value_or(0);
    return field;
}

// The key that names the call says by what means it is made.
AbiCall read_call(const JsonCursor& item) {
    AbiCall call;
    if (!item.value().is_object()) {
        item.is_object({});
    } else if (item.value().contains("memory")) {
        call.means = AbiMeans::memory;
        if (!item.is_object({"memory", "offset", "size"})) return call;
        item.read("memory", call.name, true);
        call.offset = static_cast<std::uint32_t>(read_hex(item, "offset", std::numeric_limits<std::uint32_t>::max()));
        call.size = read_number(item, "size", true, 1, 8);
    } else if (item.value().contains("instruction")) {
        call.means = AbiMeans::instruction;
        if (item.is_object({"instruction"})) item.read("instruction", call.name, true);
    } else if (item.is_object({"call", "number", "command", "command_number"})) {
        item.read("call", call.name, true);
        call.number = read_number(item, "number", true);
        item.read("command", call.command);
        call.command_number = read_number(item, "command_number", !call.command.empty());
        if (call.command_number && call.command.empty()) item.refuse("\"command_number\" without \"command\"");
    }
    return call;
}

AbiOperation read_operation(const JsonCursor& item) {
    AbiOperation operation;
    if (!item.is_object({"operation", "forms", "fit", "calls", "note", "sources"})) return operation;
    item.read("operation", operation.operation, true);
    item.read("forms", operation.forms);
    if (item.member("forms") && operation.forms.empty()) item.refuse("\"forms\" is empty: leave it out for all forms");
    std::string fit;
    item.read("fit", fit, true);
    if (const auto parsed = parse_abi_fit(fit)) operation.fit = *parsed;
    else item.refuse("unknown fit \"" + fit + "\", expected exact, partial, unneeded or none");
    if (const auto calls = item.member("calls"))
        for (const JsonCursor& call : calls->elements()) operation.calls.push_back(read_call(call));
    item.read("note", operation.note);
    operation.sources = read_abi_sources(item, false);
    return operation;
}

AbiTemplate read_template(const JsonCursor& item) {
    AbiTemplate entry;
    if (!item.is_object({"title", "mode", "forms", "operand_sizes", "stack_bytes", "anywhere", "calls_vmm", "lines"})) return entry;
    item.read("title", entry.title, true);
    entry.mode = read_mode(item);
    item.member("forms", true);
    item.read("forms", entry.forms);
    if (const auto sizes = item.member("operand_sizes"))
        for (const JsonCursor& size : sizes->elements()) {
            const auto bits = size.integer(16, 64);
            if (bits && *bits != 16 && *bits != 32 && *bits != 64) size.refuse("found " + std::to_string(*bits) + ", expected 16, 32 or 64");
            if (bits) entry.operand_sizes.push_back(*bits);
        }
    entry.stack_bytes = read_number(item, "stack_bytes", false, 0, static_cast<int>(kAbiPageBytes)).value_or(0);
    item.read("anywhere", entry.anywhere);
    item.read("calls_vmm", entry.calls_vmm);
    item.read("lines", entry.lines);
    if (entry.lines.empty()) item.refuse("a template needs \"lines\"");
    return entry;
}

// Reads each element of an array with `read` into `out`.
template <class Entry>
void read_list(const JsonCursor& root, std::string_view key, std::vector<Entry>& out, Entry (*read)(const JsonCursor&)) {
    if (const auto list = root.member(key, true))
        for (const JsonCursor& item : list->elements()) out.push_back(read(item));
}

}  // namespace

Abi read_abi(const JsonCursor& cursor) {
    Abi abi;
    abi.file = cursor.file();
    if (!cursor.is_object({"schema", "id", "name", "title", "version", "skipped_parts", "sources", "areas", "fields", "operations", "templates"})) return abi;
    cursor.read("id", abi.id, true);
    cursor.read("name", abi.name, true);
    cursor.read("title", abi.title, true);
    cursor.read("skipped_parts", abi.skipped_parts);
    if (const auto version = cursor.member("version", true); version && version->is_object({"major", "minor"})) {
        abi.major_version = read_number(*version, "major", true, 0, 0xFFFF).value_or(0);
        abi.minor_version = read_number(*version, "minor", true, 0, 0xFFFF).value_or(0);
    }
    abi.sources = read_abi_sources(cursor, true);
    read_list(cursor, "areas", abi.areas, read_area);
    read_list(cursor, "fields", abi.fields, read_field);
    read_list(cursor, "operations", abi.operations, read_operation);
    read_list(cursor, "templates", abi.templates, read_template);
    return abi;
}

}  // namespace trapline::isa
