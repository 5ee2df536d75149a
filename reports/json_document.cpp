// SPDX-License-Identifier: Apache-2.0
// The one file of reports/ where nlohmann's exceptions and types become Errors.
#include "reports/json_document.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>

#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

std::string escape_pointer(std::string_view key) {
    std::string out;
    for (const char c : key) {
        if (c == '~') {
            out += "~0";
        } else if (c == '/') {
            out += "~1";
        } else {
            out += c;
        }
    }
    return out;
}

/// Documents nest five deep. nlohmann parses without recursion but prints and compares with it, so depth is bounded first.
constexpr int kMaxDepth = 32;

/// The longest objects are counts by mnemonic; the database has half as many. The JSON library looks members up one by
/// one, so an object of a million of them would take it a day.
constexpr int kMaxMembers = 4096;

/// A value takes some 30 bytes of memory while a list grows, and two in the text. The plan of a stock kernel has a million.
constexpr int kMaxValues = 1 << 24;

/// Finds where nesting passes kMaxDepth, an object kMaxMembers or the text kMaxValues; nothing when they never do.
std::optional<std::uint64_t> find_excess(std::string_view text) {
    int depth = 0, values = 0;
    std::array<int, kMaxDepth + 1> members{};
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',') {
            if (++values > kMaxValues) return i;
        } else if (c == '[' || c == '{') {
            if (++depth > kMaxDepth || ++values > kMaxValues) return i;
            if (depth > 0) members[static_cast<std::size_t>(depth)] = 0;
        } else if (c == ':' && depth > 0) {
            if (++members[static_cast<std::size_t>(depth)] > kMaxMembers) return i;
        } else if (c == ']' || c == '}') {
            --depth;
        }
    }
    return std::nullopt;
}

/// What a value is, for "found X": its type, and its text where that is short.
std::string describe(const Json& value) {
    if (value.is_array() || value.is_object()) return std::string("an ") + value.type_name();
    const std::string text = one_line(value);
    return text.size() <= 60 ? text : std::string("a long ") + value.type_name();
}

}  // namespace

std::string one_line(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

void DocumentWriter::member(std::string_view key, const Json& value) {
    begin_member(key);
    sink_(one_line(value));
}

void DocumentWriter::begin_member(std::string_view key) {
    sink_(first_ ? "\n  " : ",\n  ");
    sink_(one_line(std::string(key)) + ": ");
    first_ = false;
}

Result<Json> parse_json(std::string_view text, const std::string& name) {
    if (const auto offset = find_excess(text))
        return fail(ErrorCode::refused, fmt::format("found values nested more than {} deep, an object of more than {} members, or more than {} values, expected a document of this program",
                                                    kMaxDepth, kMaxMembers, kMaxValues), name, offset);
    try {
        return Json::parse(text.begin(), text.end());
    } catch (const Json::parse_error& error) {
        // nlohmann counts bytes from 1, and 0 stands for "before the first".
        const std::uint64_t offset = error.byte == 0 ? 0 : error.byte - 1;
        const ErrorCode code = offset >= text.size() ? ErrorCode::truncated : ErrorCode::malformed;
        std::string message = error.what();
        if (const auto detail = message.find("parse error"); detail != std::string::npos) message.erase(0, detail);
        return fail(code, "found text that is not JSON: " + printable(message), name, offset);
    } catch (const std::exception& error) {
        return fail(ErrorCode::malformed, "found text that cannot be read as JSON: " + printable(error.what()), name);
    }
}

ObjectReader::ObjectReader(const Json& value, std::string pointer, const std::string& name, Status& status)
    : value_(value), pointer_(std::move(pointer)), name_(name), status_(status) {
    if (!value_.is_object()) refuse("", fmt::format("found {}, expected an object", describe(value_)));
}

std::string ObjectReader::pointer_to(std::string_view key) const { return key.empty() ? pointer_ : pointer_ + "/" + escape_pointer(key); }

void ObjectReader::refuse(std::string_view key, std::string message, ErrorCode code) {
    if (!status_) return;
    const std::string pointer = pointer_to(key);
    status_ = tl::unexpected<Error>(Error{code, std::move(message), name_, std::nullopt, pointer.empty() ? "/" : pointer});
}

void ObjectReader::refuse_inside(std::string_view path, std::string message, ErrorCode code) {
    if (status_) status_ = tl::unexpected<Error>(Error{code, std::move(message), name_, std::nullopt, fmt::format("{}/{}", pointer_, path)});
}

const Json* ObjectReader::find(std::string_view key, std::string_view expected) {
    if (!status_) return nullptr;
    known_.push_back(key);
    const auto found = value_.find(key);
    if (found == value_.end()) {
        refuse("", fmt::format("found no member \"{}\", expected {}", key, expected));
        return nullptr;
    }
    return &*found;
}

void ObjectReader::read(std::string_view key, std::string& out) {
    const Json* value = find(key, "a string");
    if (value == nullptr) return;
    if (!value->is_string()) return refuse(key, fmt::format("found {}, expected a string", describe(*value)));
    out = value->get_ref<const std::string&>();
}

void ObjectReader::read(std::string_view key, bool& out) {
    const Json* value = find(key, "true or false");
    if (value == nullptr) return;
    if (!value->is_boolean()) return refuse(key, fmt::format("found {}, expected true or false", describe(*value)));
    out = value->get<bool>();
}

void ObjectReader::read(std::string_view key, std::uint64_t& out) {
    const Json* value = find(key, "a whole number");
    if (value == nullptr) return;
    // A negative number is an integer but not an unsigned one; 1.0 and 1e3 are neither.
    if (!value->is_number_unsigned()) return refuse(key, fmt::format("found {}, expected a whole number, 0 or more", describe(*value)));
    out = value->get<std::uint64_t>();
}

void ObjectReader::read(std::string_view key, std::uint32_t& out) {
    std::uint64_t number = 0;
    read(key, number);
    if (number > std::numeric_limits<std::uint32_t>::max()) return refuse(key, fmt::format("found {}, expected a whole number below 2^32", number));
    out = static_cast<std::uint32_t>(number);
}

void ObjectReader::read(std::string_view key, double& out) {
    const Json* value = find(key, "a number");
    if (value == nullptr) return;
    // JSON has no infinity, but 1e999 is read as one.
    const double number = value->is_number() ? value->get<double>() : -1;
    if (!(number >= 0) || std::isinf(number)) return refuse(key, fmt::format("found {}, expected a number, 0 or more", describe(*value)));
    out = number;
}

void ObjectReader::read(std::string_view key, std::vector<std::string>& out) {
    const Json* values = array(key);
    if (values == nullptr) return;
    for (std::size_t i = 0; i < values->size(); ++i) {
        const Json& value = (*values)[i];
        if (!value.is_string()) return refuse(key, fmt::format("found {} as element {}, expected a string", describe(value), i));
        out.push_back(value.get<std::string>());
    }
}

void ObjectReader::read_address(std::string_view key, std::uint64_t& out) {
    std::string text;
    read(key, text);
    if (!ok()) return;
    if (text.starts_with("0x")) {
        const char* end = text.data() + text.size();
        const auto [stop, fault] = std::from_chars(text.data() + 2, end, out, 16);
        if (fault == std::errc() && stop == end) return;
    }
    refuse(key, fmt::format("found \"{}\", expected a 64-bit address such as \"0xffffffff81000000\"", fitted(printable(text), 40)));
}

void ObjectReader::read_bytes(std::string_view key, std::vector<std::uint8_t>& out) {
    std::string text;
    read(key, text);
    if (!ok() || text.empty()) return;
    auto bytes = parse_hex(text);
    if (!bytes) return refuse(key, printable(bytes.error().message));
    out = std::move(*bytes);
}

void ObjectReader::read_word(std::string_view key, std::string& out, const std::vector<std::string_view>& allowed) {
    read(key, out);
    if (!ok() || std::find(allowed.begin(), allowed.end(), out) != allowed.end()) return;
    refuse(key, fmt::format("found \"{}\", expected one of {}", fitted(printable(out), 40), fmt::join(allowed, ", ")));
}

const Json* ObjectReader::object(std::string_view key) {
    const Json* value = find(key, "an object");
    if (value == nullptr) return nullptr;
    if (value->is_object()) return value;
    refuse(key, fmt::format("found {}, expected an object", describe(*value)));
    return nullptr;
}

const Json* ObjectReader::array(std::string_view key) {
    const Json* value = find(key, "an array");
    if (value == nullptr) return nullptr;
    if (value->is_array()) return value;
    refuse(key, fmt::format("found {}, expected an array", describe(*value)));
    return nullptr;
}

bool ObjectReader::has(std::string_view key) {
    if (!status_) return false;
    const auto found = value_.find(key);
    if (found == value_.end()) return false;
    known_.push_back(key);
    return !found->is_null();
}

bool ObjectReader::has_value(std::string_view key) {
    const Json* value = find(key, "a value or null");
    return value != nullptr && !value->is_null();
}

void ObjectReader::finish() {
    if (!status_) return;
    for (const auto& [key, value] : value_.items()) {
        if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
        return refuse(key, fmt::format("found unknown member \"{}\", expected {}", fitted(printable(key), 40), fmt::join(known_, ", ")));
    }
}

}  // namespace trapline::reports
