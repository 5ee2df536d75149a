// SPDX-License-Identifier: Apache-2.0
// JSON objects written as text at once, for lists of thousands: a tree of values costs some twenty allocations for each.
// Internal to reports/.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace trapline::reports {

/// Appends a JSON string, the same bytes as one_line() makes of it: text that is not UTF-8 comes out with U+FFFD in its place.
void append_json_string(std::string_view text, std::string& out);

/// Appends one JSON object to a string, member by member, without blanks. Keys are written as they are: plain words.
class ObjectText {
public:
    explicit ObjectText(std::string& out) : out_(out) { out_ += '{'; }

    void member(std::string_view key, std::string_view text) {
        begin(key);
        append_json_string(text, out_);
    }
    void member(std::string_view key, const char* text) { member(key, std::string_view(text)); }
    void member(std::string_view key, std::same_as<bool> auto value) { raw(key, value ? "true" : "false"); }
    void member(std::string_view key, std::uint64_t value) { raw(key, std::to_string(value)); }
    /// Writes a member whose value is JSON text already.
    void raw(std::string_view key, std::string_view json) {
        begin(key);
        out_ += json;
    }
    /// Writes an array of objects; `write(object, item)` adds the members of each.
    template <class Items, class Write>
    void list(std::string_view key, const Items& items, Write write) {
        begin(key);
        out_ += '[';
        bool first = true;
        for (const auto& item : items) {
            if (!first) out_ += ',';
            first = false;
            ObjectText object(out_);
            write(object, item);
            object.end();
        }
        out_ += ']';
    }
    /// Closes the object; nothing may be added after.
    void end() { out_ += '}'; }

private:
    void begin(std::string_view key) {
        if (!first_) out_ += ',';
        first_ = false;
        out_ += '"';
        out_ += key;
        out_ += "\":";
    }
    std::string& out_;
    bool first_ = true;
};

}  // namespace trapline::reports
