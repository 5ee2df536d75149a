// SPDX-License-Identifier: Apache-2.0
// The readers of setups.json and tcg-differences.json.
#include "setups.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace trapline::ring0 {

namespace {

using nlohmann::json;

// The file is the project's own: a wrong type is reported by the library's own words.
template <class Read>
auto guarded(Read read) -> Result<decltype(read())> {
    try {
        return read();
    } catch (const json::exception& error) {
        return fail(ErrorCode::malformed, error.what());
    }
}

[[noreturn]] void refuse(const std::string& what) { throw json::other_error::create(501, what, nullptr); }

std::vector<Mode> read_modes(const json& list) {
    std::vector<Mode> modes;
    for (const json& mode : list) {
        const auto parsed = parse_mode(mode.get<std::string>());
        if (!parsed) refuse("found the mode " + mode.get<std::string>() + ", expected 16r, 16p, 32 or 64");
        modes.push_back(*parsed);
    }
    return modes;
}

void take(std::optional<std::string>& out, const json& value) { out = value.get<std::string>(); }

void read_setup(const std::string& key, const json& value, Setup& setup) {
    if (key == "operand") take(setup.operand, value);
    else if (key == "imm") take(setup.immediate, value);
    else if (key == "bytes") take(setup.bytes, value);
    else if (key == "lands") take(setup.lands, value);
    else if (key == "gate") take(setup.gate, value);
    else if (key == "hidden") take(setup.hidden, value);
    else if (key == "memory") setup.memory = value.get<std::vector<std::string>>();
    else if (key == "may_repeat") setup.may_repeat = value.get<std::vector<std::string>>();
    else if (key == "stack") setup.stack = value.get<std::vector<std::string>>();
    else if (key == "pointer") setup.pointer = value.get<std::vector<std::string>>();
    else if (key == "descriptor") setup.code_descriptor = value.get<std::string>() == "code";
    else if (key == "timer") setup.timer = value.get<bool>();
    else if (key == "rex_w") setup.rex_w = value.get<bool>();
    else if (key == "set") for (const auto& [slot, text] : value.items()) setup.set.emplace_back(slot, text.get<std::string>());
    else if (key != "forms" && key != "why") refuse(fmt::format("found the key {}, expected one of a set-up", key));
}

void merge(const Setup& from, Setup& into) {
    const auto over = [](const auto& source, auto& target) { if (source) target = source; };
    const auto filled = [](const auto& source, auto& target) { if (!source.empty()) target = source; };
    over(from.operand, into.operand);
    over(from.immediate, into.immediate);
    over(from.bytes, into.bytes);
    over(from.lands, into.lands);
    over(from.gate, into.gate);
    over(from.hidden, into.hidden);
    filled(from.memory, into.memory);
    filled(from.stack, into.stack);
    filled(from.pointer, into.pointer);
    filled(from.may_repeat, into.may_repeat);
    into.set.insert(into.set.end(), from.set.begin(), from.set.end());
    into.code_descriptor |= from.code_descriptor;
    into.timer |= from.timer;
    into.rex_w |= from.rex_w;
}

}  // namespace

bool names_form(const std::vector<std::string>& patterns, std::string_view id) {
    return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
        return pattern.ends_with('*') ? id.starts_with(pattern.substr(0, pattern.size() - 1)) : id == pattern;
    });
}

Result<Setups> Setups::parse(const std::string& text) {
    return guarded([&] {
        Setups out;
        const json document = json::parse(text);
        for (const json& item : document.at("setups")) {
            Row row;
            row.forms = item.at("forms").get<std::vector<std::string>>();
            for (const auto& [key, value] : item.items()) read_setup(key, value, row.setup);
            out.rows_.push_back(std::move(row));
        }
        for (const json& item : document.at("not_covered"))
            out.not_covered_.push_back({item.at("forms").get<std::vector<std::string>>(), read_modes(item.value("modes", json::array())), item.at("why").get<std::string>()});
        for (const auto& [resource, why] : document.at("unobservable").items()) out.unobservable_.emplace(resource, why.get<std::string>());
        return out;
    });
}

Setup Setups::of(std::string_view form) const {
    Setup merged;
    for (const Row& row : rows_)
        if (names_form(row.forms, form)) merge(row.setup, merged);
    return merged;
}

std::optional<std::string> Setups::why_not_covered(std::string_view form, Mode mode) const {
    for (const Exclusion& row : not_covered_)
        if (names_form(row.forms, form) && (row.modes.empty() || std::find(row.modes.begin(), row.modes.end(), mode) != row.modes.end())) return row.why;
    return std::nullopt;
}

std::optional<std::string> Setups::why_unobservable(std::string_view resource) const {
    const auto found = unobservable_.find(resource);
    return found == unobservable_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> Setups::stale_patterns(const std::vector<std::string>& forms) const {
    std::vector<std::string> stale;
    const auto check = [&](const std::vector<std::string>& patterns) {
        for (const std::string& pattern : patterns)
            if (std::none_of(forms.begin(), forms.end(), [&](const std::string& form) { return names_form({pattern}, form); })) stale.push_back(pattern);
    };
    for (const Row& row : rows_) check(row.forms);
    for (const Exclusion& row : not_covered_) check(row.forms);
    return stale;
}

Result<std::map<std::string, FeatureBit, std::less<>>> parse_features(std::string_view text) {
    return guarded([&] {
        static const std::vector<std::string> kRegisters = {"eax", "ebx", "ecx", "edx"};
        std::map<std::string, FeatureBit, std::less<>> out;
        const json document = json::parse(text);
        for (const json& item : document.at("features")) {
            FeatureBit feature;
            feature.present = item.value("present", false);
            if (item.contains("leaf")) {
                const auto hex = [&](const std::string& digits) { return static_cast<std::uint32_t>(std::stoul(digits, nullptr, 16)); };
                const auto found = std::find(kRegisters.begin(), kRegisters.end(), item.at("register").get<std::string>());
                if (found == kRegisters.end()) refuse("expected eax, ebx, ecx or edx");
                feature.query = CpuidQuery{hex(item.at("leaf").get<std::string>()), hex(item.value("subleaf", "0"))};
                feature.reg = static_cast<int>(found - kRegisters.begin());
                feature.bit = item.at("bit").get<int>();
            }
            out.emplace(item.at("feature").get<std::string>(), feature);
        }
        return out;
    });
}

Result<std::vector<TcgDifference>> parse_differences(const std::string& text) {
    return guarded([&] {
        std::vector<TcgDifference> out;
        const json document = json::parse(text);
        for (const json& item : document.at("differences")) {
            TcgDifference row;
            row.forms = item.at("forms").get<std::vector<std::string>>();
            row.modes = read_modes(item.at("modes"));
            row.state = item.value("state", "");
            row.says = item.at("says").get<std::string>();
            row.truth = item.at("truth").get<std::string>();
            row.clause = item.at("clause").get<std::string>();
            row.emulator = item.at("emulator").get<std::string>();
            out.push_back(std::move(row));
        }
        return out;
    });
}

}  // namespace trapline::ring0
