// SPDX-License-Identifier: Apache-2.0
// Writing and strict reading of the project's own JSON documents. Lists stand one element to a line, so that a diff of two
// documents shows which findings came and went. Internal to reports/: its users see strings only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "reports/sink.h"
#include "support/error.h"

namespace trapline::reports {

using Json = nlohmann::ordered_json;

/// Serializes on one line. Text that is not UTF-8 comes out with U+FFFD in its place; nothing throws.
std::string one_line(const Json& value);

/// Writes one top-level object, member by member; lists are never held in memory as a whole.
class DocumentWriter {
public:
    explicit DocumentWriter(const Sink& sink) : sink_(sink) { sink_("{"); }
    void member(std::string_view key, const Json& value);
    /// Writes an array whose element `i` is `make(i)`.
    template <class Make>
    void list(std::string_view key, std::size_t size, Make make) {
        list_of_texts(key, size, [&](std::size_t i) { return one_line(make(i)); });
    }
    /// The same where `make(i)` gives the element's JSON text, one line of it.
    template <class Make>
    void list_of_texts(std::string_view key, std::size_t size, Make make) {
        begin_member(key);
        sink_("[");
        for (std::size_t i = 0; i < size; ++i) {
            sink_(i == 0 ? "\n    " : ",\n    ");
            sink_(make(i));
        }
        sink_(size == 0 ? "]" : "\n  ]");
    }
    /// Closes the object; nothing may be written after.
    void end() { sink_("\n}\n"); }

private:
    void begin_member(std::string_view key);
    const Sink& sink_;
    bool first_ = true;
};

/// Parses JSON text; a syntax error carries the byte offset, and so does what no document has and what would take
/// long (refused): deep nesting, and objects of thousands of members.
/// `name` names the document in errors.
Result<Json> parse_json(std::string_view text, const std::string& name);

/// Reads the members of one object. The first fault is kept in the shared status, with a JSON pointer, and every later
/// read does nothing: callers read all members and look at the status once. Unknown members are faults (see finish).
class ObjectReader {
public:
    /// `status` and `value` must outlive the reader. `pointer` is "" for the whole document.
    ObjectReader(const Json& value, std::string pointer, const std::string& name, Status& status);

    void read(std::string_view key, std::string& out);
    void read(std::string_view key, bool& out);
    void read(std::string_view key, std::uint64_t& out);
    /// Reads a whole number below 2^32.
    void read(std::string_view key, std::uint32_t& out);
    /// Reads a number that is 0 or more.
    void read(std::string_view key, double& out);
    void read(std::string_view key, std::vector<std::string>& out);
    /// Reads a hex string such as "0xffffffff81000000".
    void read_address(std::string_view key, std::uint64_t& out);
    /// Reads hex digits without separators; an empty string gives no bytes.
    void read_bytes(std::string_view key, std::vector<std::uint8_t>& out);
    /// Reads a string that must be one of `allowed`.
    void read_word(std::string_view key, std::string& out, const std::vector<std::string_view>& allowed);
    /// Gives the members of an object member; null (and a fault) when it is something else.
    const Json* object(std::string_view key);
    /// Gives an array member; null (and a fault) when it is something else.
    const Json* array(std::string_view key);
    /// Says whether a member is there and not null. It counts as known from then on.
    bool has(std::string_view key);
    /// Says whether a member that must be there is not null.
    bool has_value(std::string_view key);
    /// Makes a fault of the first member that was not asked for.
    void finish();

    /// Notes a fault at a member ("" for the object itself), unless there is one already.
    void refuse(std::string_view key, std::string message, ErrorCode code = ErrorCode::malformed);
    /// The same for what lies deeper: `path` continues the object's JSON pointer ("steps/3/offset").
    void refuse_inside(std::string_view path, std::string message, ErrorCode code = ErrorCode::inconsistent);
    bool ok() const { return status_.has_value(); }
    std::string pointer_to(std::string_view key) const;

private:
    const Json* find(std::string_view key, std::string_view expected);

    const Json& value_;
    std::string pointer_;
    const std::string& name_;
    Status& status_;
    std::vector<std::string_view> known_;
};

}  // namespace trapline::reports
