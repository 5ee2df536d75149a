// SPDX-License-Identifier: Apache-2.0
// Strict reading of JSON objects for the loader: every key must be known, every error carries file and pointer.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace trapline::isa {

using Json = nlohmann::ordered_json;

/// A JSON value together with where it stands and where its errors go.
class JsonCursor {
public:
    JsonCursor(const Json& value, std::string file, std::string pointer, std::vector<Error>& errors)
        : value_(&value), file_(std::move(file)), pointer_(std::move(pointer)), errors_(&errors) {}

    const Json& value() const { return *value_; }
    const std::string& file() const { return file_; }
    const std::string& pointer() const { return pointer_; }

    /// Notes an error at this place.
    void refuse(std::string message) const {
        errors_->push_back(Error{ErrorCode::malformed, std::move(message), file_, std::nullopt, pointer_.empty() ? "/" : pointer_});
    }
    /// Says whether this is an object with no keys but `allowed`, noting every other key.
    bool is_object(std::initializer_list<std::string_view> allowed) const;
    /// Gives the member, or nothing (noted when `required`).
    std::optional<JsonCursor> member(std::string_view key, bool required = false) const;
    /// Gives the elements; notes anything but an array.
    std::vector<JsonCursor> elements() const;
    std::optional<std::string> string() const;
    std::optional<int> integer(int low, int high) const;
    std::optional<bool> boolean() const;

    /// Reads a string member into `out`; a missing one is noted when `required`.
    void read(std::string_view key, std::string& out, bool required = false) const;
    void read(std::string_view key, bool& out) const;
    /// Reads an integer member in [low, high].
    void read(std::string_view key, int& out, int low, int high, bool required = false) const;
    /// Reads an array of strings.
    void read(std::string_view key, std::vector<std::string>& out) const;

private:
    const Json* value_;
    std::string file_;
    std::string pointer_;
    std::vector<Error>* errors_;
};

}  // namespace trapline::isa
