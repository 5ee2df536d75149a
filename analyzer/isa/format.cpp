// SPDX-License-Identifier: Apache-2.0
// Canonical printer for the database's JSON.
#include "isa/format.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace trapline::isa {

namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kWidth = 120;

// Keys of every kind of object in the order people read them; unlisted keys keep their place behind these.
constexpr std::array<std::string_view, 64> kKeyOrder = {
    "$schema", "$id",       "schema",   "id",      "family",  "control",     "resource",  "atom",    "kind",      "axis",    "domain",
    "token",   "vmm",       "mnemonic", "stem",    "operands", "variant",    "encoding",  "map",     "opcode",    "prefix",  "modrm",
    "mod",     "reg",       "rm",       "imm",     "osize",   "osize64",     "asize",     "w", "rex_b", "l",         "vvvv",    "lock",
    "requires_lock", "bytes", "mode",   "modes",   "text",    "examples",    "reads",     "writes",  "faults",    "vector",  "cause",
    "when",    "else",      "exits",    "always",  "reason",  "code",        "also",      "emulate", "hypercall", "translate", "why",
    "virtualization", "feature", "gate", "vendor", "since",   "until",       "sources",   "override"};

std::size_t rank(const std::string& key) {
    return static_cast<std::size_t>(std::find(kKeyOrder.begin(), kKeyOrder.end(), key) - kKeyOrder.begin());
}

std::vector<std::string> ordered_keys(const Json& object, bool reorder) {
    std::vector<std::string> keys;
    for (const auto& [key, ignored] : object.items()) keys.push_back(key);
    if (reorder) std::stable_sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return rank(a) < rank(b); });
    return keys;
}

class Printer {
public:
    // Only records and the files around them have a fixed key order; schemas and maps keep their author's.
    explicit Printer(bool reorder) : reorder_(reorder) {}

    std::string inline_text(const Json& value) const {
        if (value.is_object()) {
            std::string text = "{";
            for (const std::string& key : ordered_keys(value, reorder_))
                text += (text.size() > 1 ? ", " : "") + Json(key).dump() + ": " + inline_text(value[key]);
            return text + "}";
        }
        if (value.is_array()) {
            std::string text = "[";
            for (const Json& element : value) text += (text.size() > 1 ? ", " : "") + inline_text(element);
            return text + "]";
        }
        return value.dump(-1, ' ', false, Json::error_handler_t::replace);
    }

    void print(const Json& value, std::size_t indent, std::size_t lead, bool breaks, std::string& out) const {
        const std::string flat = inline_text(value);
        const bool structured = (value.is_object() || value.is_array()) && !value.empty();
        if (!structured || (!breaks && indent + lead + flat.size() <= kWidth)) {
            out += flat;
            return;
        }
        const std::string margin(indent + 2, ' ');
        bool first = true;
        out += value.is_object() ? "{\n" : "[\n";
        const auto separate = [&] {
            if (!first) out += ",\n";
            first = false;
            out += margin;
        };
        if (value.is_object()) {
            for (const std::string& key : ordered_keys(value, reorder_)) {
                separate();
                const std::string name = Json(key).dump() + ": ";
                out += name;
                print(value[key], indent + 2, name.size(), false, out);
            }
        } else {
            for (const Json& element : value) {
                separate();
                print(element, indent + 2, 0, false, out);
            }
        }
        out += "\n" + std::string(indent, ' ') + (value.is_object() ? "}" : "]");
    }

private:
    bool reorder_;
};

}  // namespace

Result<std::string> format_spec(std::string_view path, std::string_view text) {
    Json json;
    try {
        json = Json::parse(text.begin(), text.end());
    } catch (const nlohmann::json::parse_error& error) {
        return fail(ErrorCode::malformed, error.what(), std::string(path), error.byte);
    }
    const std::string schema = json.is_object() && json.contains("schema") && json["schema"].is_string() ? json["schema"].get<std::string>() : "";
    const bool reorder = schema == "trapline.isa-family/1";
    std::string out;
    Printer(reorder).print(json, 0, 0, true, out);
    return out + "\n";
}

}  // namespace trapline::isa
