// SPDX-License-Identifier: Apache-2.0
// Look-ups in an interface's tables.
#include "isa/abi.h"

#include <algorithm>
#include <array>

namespace trapline::isa {

namespace {

constexpr std::array<std::string_view, 4> kFits = {"exact", "partial", "unneeded", "none"};
constexpr std::array<std::string_view, 2> kPages = {"vcpu", "pending"};

bool contains(const std::vector<std::string>& list, std::string_view text) { return std::find(list.begin(), list.end(), text) != list.end(); }

// Finds the entry that names the form, or else the first that names none.
template <class Entry, class Wanted>
const Entry* find_for_form(const std::vector<Entry>& entries, std::string_view form, Wanted&& wanted) {
    const Entry* general = nullptr;
    for (const Entry& entry : entries) {
        if (!wanted(entry)) continue;
        if (!form.empty() && contains(entry.forms, form)) return &entry;
        if (entry.forms.empty() && general == nullptr) general = &entry;
    }
    return general;
}

}  // namespace

std::string_view to_string(AbiFit fit) { return kFits[static_cast<std::size_t>(fit)]; }

std::optional<AbiFit> parse_abi_fit(std::string_view text) {
    const auto found = std::find(kFits.begin(), kFits.end(), text);
    return found == kFits.end() ? std::nullopt : std::optional(static_cast<AbiFit>(found - kFits.begin()));
}

std::string_view to_string(AbiPage page) { return kPages[static_cast<std::size_t>(page)]; }

std::string AbiOperation::call() const {
    std::string text;
    for (const AbiCall& call : calls) {
        text += text.empty() ? "" : ", then ";
        text += call.name;
        if (!call.command.empty()) text += ": " + call.command;
    }
    return text;
}

std::optional<std::uint32_t> AbiOperation::number() const {
    for (const AbiCall& call : calls)
        if (call.number) return call.number;
    return std::nullopt;
}

bool AbiTemplate::takes(int operand_bits) const {
    return operand_sizes.empty() || std::find(operand_sizes.begin(), operand_sizes.end(), operand_bits) != operand_sizes.end();
}

std::string Abi::version() const { return std::to_string(major_version) + "." + std::to_string(minor_version); }

const AbiOperation* Abi::find_operation(std::string_view operation, std::string_view form) const {
    return find_for_form(operations, form, [&](const AbiOperation& entry) { return entry.operation == operation; });
}

const AbiField* Abi::find_field(std::string_view name) const {
    const auto found = std::find_if(fields.begin(), fields.end(), [&](const AbiField& field) { return field.name == name; });
    return found == fields.end() ? nullptr : &*found;
}

const AbiArea* Abi::find_area(Mode mode) const {
    const auto found = std::find_if(areas.begin(), areas.end(), [&](const AbiArea& area) { return area.mode == mode; });
    return found == areas.end() ? nullptr : &*found;
}

const AbiTemplate* Abi::find_template(std::string_view form, Mode mode, int operand_bits, bool anywhere) const {
    return find_for_form(templates, form, [&](const AbiTemplate& entry) {
        return entry.mode == mode && entry.takes(operand_bits) && (!entry.forms.empty() || entry.anywhere == anywhere);
    });
}

const AbiTemplate* Abi::find_hypercall(Mode mode, bool anywhere) const { return find_template({}, mode, 0, anywhere); }

std::optional<AbiPlaceholder> Abi::parse_placeholder(std::string_view text) const {
    using Kind = AbiPlaceholder::Kind;
    static constexpr std::array<std::pair<std::string_view, Kind>, 5> kWords = {
        {{"gate", Kind::gate}, {"site", Kind::site}, {"resume", Kind::resume}, {"reg", Kind::reg}, {"next", Kind::next}}};
    for (const auto& [word, kind] : kWords)
        if (text == word) return AbiPlaceholder{kind, nullptr, {}};
    const std::size_t dot = text.find('.');
    if (dot == std::string_view::npos || dot + 1 == text.size()) return std::nullopt;
    const std::string_view space = text.substr(0, dot), name = text.substr(dot + 1);
    if (space == "label") return AbiPlaceholder{Kind::label, nullptr, name};
    const AbiField* field = find_field(name);
    if (field == nullptr || to_string(field->page) != space) return std::nullopt;
    return AbiPlaceholder{Kind::field, field, {}};
}

}  // namespace trapline::isa
