// SPDX-License-Identifier: Apache-2.0
// Strict JSON access.
#include "isa/json_reader.h"

#include <algorithm>

namespace trapline::isa {

bool JsonCursor::is_object(std::initializer_list<std::string_view> allowed) const {
    if (!value_->is_object()) {
        refuse(std::string("found ") + value_->type_name() + ", expected an object");
        return false;
    }
    for (const auto& [key, ignored] : value_->items()) {
        if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
        std::string list;
        for (std::string_view name : allowed) list += (list.empty() ? "" : ", ") + std::string(name);
        refuse("unknown key \"" + key + "\", expected one of " + list);
    }
    return true;
}

std::optional<JsonCursor> JsonCursor::member(std::string_view key, bool required) const {
    if (value_->is_object()) {
        const auto found = value_->find(std::string(key));
        if (found != value_->end()) return JsonCursor(*found, file_, pointer_ + "/" + std::string(key), *errors_);
    }
    if (required) refuse("missing key \"" + std::string(key) + "\"");
    return std::nullopt;
}

std::vector<JsonCursor> JsonCursor::elements() const {
    std::vector<JsonCursor> list;
    if (!value_->is_array()) {
        refuse(std::string("found ") + value_->type_name() + ", expected an array");
        return list;
    }
    std::size_t i = 0;
    for (const Json& element : *value_) list.emplace_back(element, file_, pointer_ + "/" + std::to_string(i++), *errors_);
    return list;
}

std::optional<std::string> JsonCursor::string() const {
    if (value_->is_string()) return value_->get<std::string>();
    refuse(std::string("found ") + value_->type_name() + ", expected a string");
    return std::nullopt;
}

std::optional<int> JsonCursor::integer(int low, int high) const {
    if (value_->is_number_integer()) {
        const auto number = value_->get<long long>();
        if (number >= low && number <= high) return static_cast<int>(number);
    }
    refuse("found " + value_->dump().substr(0, 40) + ", expected a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    return std::nullopt;
}

std::optional<bool> JsonCursor::boolean() const {
    if (value_->is_boolean()) return value_->get<bool>();
    refuse(std::string("found ") + value_->type_name() + ", expected true or false");
    return std::nullopt;
}

void JsonCursor::read(std::string_view key, std::string& out, bool required) const {
    if (const auto found = member(key, required))
        if (auto text = found->string()) out = std::move(*text);
}

void JsonCursor::read(std::string_view key, bool& out) const {
    if (const auto found = member(key))
        if (const auto flag = found->boolean()) out = *flag;
}

void JsonCursor::read(std::string_view key, int& out, int low, int high, bool required) const {
    if (const auto found = member(key, required))
        if (const auto number = found->integer(low, high)) out = *number;
}

void JsonCursor::read(std::string_view key, std::vector<std::string>& out) const {
    if (const auto found = member(key))
        for (const JsonCursor& element : found->elements())
            if (auto text = element.string()) out.push_back(std::move(*text));
}

}  // namespace trapline::isa
