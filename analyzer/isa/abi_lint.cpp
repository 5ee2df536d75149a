// SPDX-License-Identifier: Apache-2.0
// Structural checks of isa-specs/abi/*.json.
#include "isa/abi_lint.h"

#include <algorithm>
#include <map>
#include <set>

namespace trapline::isa {

namespace {

/// One interface under check: where its errors go, with the file.
class Check {
public:
    Check(const Database& database, const Abi& abi, std::vector<Error>& errors) : database_(database), abi_(abi), errors_(errors) {}

    void run(const std::set<std::string>& operations) {
        check_operations(operations);
        check_numbers();
        check_fields();
        check_areas();
        check_templates();
    }

private:
    void refuse(const std::string& place, const std::string& message) {
        errors_.push_back(Error{ErrorCode::inconsistent, place + ": " + message, abi_.file, std::nullopt, {}});
    }

    /// Finds a form and the operation that its record asks for; notes a form that no record has.
    const Record* find_form(const std::string& place, const std::string& form) {
        const Record* record = database_.find_record(form);
        if (record == nullptr) refuse(place, "no record has the id \"" + form + "\"");
        return record;
    }

    void check_operations(const std::set<std::string>& operations) {
        std::map<std::string, int> general;
        std::set<std::string> forms;
        for (const AbiOperation& entry : abi_.operations) {
            if (!operations.contains(entry.operation)) refuse(entry.operation, "no record asks for this operation");
            if (entry.forms.empty() && ++general[entry.operation] == 2) refuse(entry.operation, "is listed twice for all forms");
            for (const std::string& form : entry.forms) {
                const Record* record = find_form(entry.operation, form);
                if (record != nullptr && record->virtualization.hypercall != entry.operation)
                    refuse(entry.operation, "the form " + form + " asks for " + record->virtualization.hypercall);
                if (!forms.insert(form).second) refuse(entry.operation, "the form " + form + " is listed twice");
            }
            const bool does = entry.fit == AbiFit::exact || entry.fit == AbiFit::partial;
            if (does && entry.calls.empty()) refuse(entry.operation, "is " + std::string(to_string(entry.fit)) + " without a call");
            if (entry.fit == AbiFit::none && !entry.calls.empty()) refuse(entry.operation, "has a call and yet the fit none");
            if (entry.fit != AbiFit::exact && entry.note.empty()) refuse(entry.operation, "expected a note that says what differs");
        }
        for (const std::string& operation : operations)
            if (!general.contains(operation)) refuse(operation, "records ask for this operation, and the interface does not list it for all forms");
    }

    void check_numbers() {
        using Key = std::pair<std::string, std::uint32_t>;  // the call whose commands these are, and the number
        std::map<Key, std::string> names;
        std::map<std::pair<std::string, std::string>, std::uint32_t> numbers;
        std::map<std::uint32_t, std::string> owners;
        // Numbers and names are one to one, within the interface for calls and within a call for its commands.
        const auto learn = [&](const std::string& operation, const std::string& space, const std::string& name, std::uint32_t number) {
            const auto& [by_number, new_number] = names.emplace(Key(space, number), name);
            if (!new_number && by_number->second != name) refuse(operation, name + " has the number " + std::to_string(number) + " of " + by_number->second);
            const auto& [by_name, new_name] = numbers.emplace(std::pair(space, name), number);
            if (!new_name && by_name->second != number) refuse(operation, name + " has two numbers");
        };
        for (const AbiOperation& entry : abi_.operations) {
            for (const AbiCall& call : entry.calls) {
                if (call.number) learn(entry.operation, "", call.name, *call.number);
                if (call.command_number) learn(entry.operation, call.name, call.command, *call.command_number);
            }
            if (abi_.templates.empty()) continue;
            if (!entry.number()) {
                refuse(entry.operation, "has no number, which an interface with templates needs");
                continue;
            }
            const auto& [owner, fresh] = owners.emplace(*entry.number(), entry.operation);
            if (!fresh && owner->second != entry.operation) refuse(entry.operation, "shares its number with " + owner->second);
        }
    }

    void check_fields() {
        std::set<std::string> names;
        for (const AbiField& field : abi_.fields) {
            if (!names.insert(field.name).second) refuse("field " + field.name, "is listed twice");
            if (field.size == 0 || field.offset % field.size != 0) refuse("field " + field.name, "is not aligned to its size");
            if (field.offset + field.size > kAbiPageBytes) refuse("field " + field.name, "ends behind its page");
            for (const AbiField& other : abi_.fields) {
                const bool before = &other < &field;
                if (before && other.page == field.page && other.offset < field.offset + field.size && field.offset < other.offset + other.size)
                    refuse("field " + field.name, "overlaps " + other.name);
                if (before && std::pair(field.page, field.offset) < std::pair(other.page, other.offset))
                    refuse("field " + field.name, "stands behind " + other.name + ", expected the order of pages and offsets");
            }
        }
    }

    void check_areas() {
        ModeSet modes;
        for (const AbiArea& area : abi_.areas) {
            const std::string place = "area " + std::string(to_string(area.mode));
            if (modes.contains(area.mode)) refuse(place, "is listed twice");
            modes.insert(area.mode);
            const auto page = [](VirtAddr begin) { return AddressRange{begin, begin + kAbiPageBytes}; };
            const std::pair<const char*, AddressRange> parts[] = {{"stubs", area.stubs}, {"gate", page(area.gate)}, {"vcpu", page(area.vcpu)}, {"pending", page(area.pending)}};
            for (const auto& [name, range] : parts) {
                if (!(range.begin < range.end)) refuse(place, std::string(name) + " is empty or wraps around");
                if (range.begin.value % kAbiPageBytes != 0 || range.end.value % kAbiPageBytes != 0) refuse(place, std::string(name) + " is not page-aligned");
                for (const auto& [other_name, other] : parts)
                    if (&other < &range && other.begin < range.end && range.begin < other.end) refuse(place, std::string(name) + " overlaps " + other_name);
            }
            if (abi_.find_hypercall(area.mode) == nullptr) refuse(place, "there is no hypercall template for this mode");
        }
    }

    void check_templates() {
        std::map<std::pair<std::string, Mode>, std::vector<const AbiTemplate*>> takers;
        for (const AbiTemplate& entry : abi_.templates) {
            const std::string place = "template \"" + entry.title + "\" (" + std::string(to_string(entry.mode)) + ")";
            if (abi_.find_area(entry.mode) == nullptr) refuse(place, "there is no area for this mode");
            if (entry.forms.empty()) check_taker(place, "the hypercall", takers[{entry.anywhere ? "anywhere" : "", entry.mode}], entry);
            else if (entry.anywhere) refuse(place, "anywhere is for hypercalls: other code is taken where no byte of it hangs on its place");
            for (const std::string& form : entry.forms) {
                const Record* record = find_form(place, form);
                if (record != nullptr && !record->encoding.modes.contains(entry.mode)) refuse(place, form + " does not exist in this mode");
                if (record != nullptr && record->virtualization.hypercall.empty()) refuse(place, form + " asks for no operation");
                check_taker(place, form, takers[{form, entry.mode}], entry);
            }
            check_lines(place, entry);
        }
    }

    // Two templates may serve one form in one mode only at different operand sizes.
    void check_taker(const std::string& place, const std::string& form, std::vector<const AbiTemplate*>& takers, const AbiTemplate& entry) {
        for (const AbiTemplate* other : takers) {
            const bool apart = !other->operand_sizes.empty() && !entry.operand_sizes.empty() &&
                               std::none_of(entry.operand_sizes.begin(), entry.operand_sizes.end(), [&](int bits) { return other->takes(bits); });
            if (!apart) refuse(place, form + " has a template already: \"" + other->title + "\"");
        }
        takers.push_back(&entry);
    }

    void check_lines(const std::string& place, const AbiTemplate& entry) {
        using Kind = AbiPlaceholder::Kind;
        std::map<std::string, int, std::less<>> labels;  // times defined
        bool gate = false;
        for (const std::string& line : entry.lines) {
            if (line.ends_with(':') && line.starts_with("{label.")) ++labels[line.substr(0, line.size() - 1)];
            else if (line.ends_with(':')) refuse(place, "found the label " + line + " expected {label.NAME}:, so that templates may stand side by side");
        }
        for (const std::string& line : entry.lines) {
            for (std::size_t open = line.find_first_of("{}"); open != std::string::npos; open = line.find_first_of("{}", open)) {
                const std::size_t close = line.find('}', open);
                if (line[open] == '}' || close == std::string::npos) {
                    refuse(place, "found a lone brace in \"" + line + "\"");
                    break;
                }
                const std::string name = line.substr(open + 1, close - open - 1);
                const auto placeholder = abi_.parse_placeholder(name);
                if (!placeholder) refuse(place, "found the placeholder {" + name + "}, which this interface does not have");
                else if (placeholder->kind == Kind::label && labels["{" + name + "}"] != 1) refuse(place, "{" + name + "} is not defined once");
                else if (placeholder->kind == Kind::reg && entry.forms.empty()) refuse(place, "{reg} in a template for forms without a register");
                else if (placeholder->kind == Kind::gate) gate = true;
                open = close + 1;
            }
        }
        if (gate != entry.calls_vmm) refuse(place, "calls_vmm must say whether a line leads to {gate}");
        if (entry.forms.empty() && !gate) refuse(place, "the hypercall does not lead to {gate}");
    }

    const Database& database_;
    const Abi& abi_;
    std::vector<Error>& errors_;
};

}  // namespace

std::vector<Error> lint_abis(const Database& database) {
    std::vector<Error> errors;
    std::set<std::string> operations, ids;
    for (const Record& record : database.records)
        if (!record.virtualization.hypercall.empty()) operations.insert(record.virtualization.hypercall);
    for (const Abi& abi : database.abis) {
        if (!ids.insert(abi.id).second) errors.push_back(Error{ErrorCode::inconsistent, "interface \"" + abi.id + "\" is defined twice", abi.file, std::nullopt, "/id"});
        Check(database, abi, errors).run(operations);
    }
    return errors;
}

}  // namespace trapline::isa
