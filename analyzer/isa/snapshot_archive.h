// SPDX-License-Identifier: Apache-2.0
// Plain data as bytes and back, for what the build makes and the program carries: strings, numbers, lists, and types for which a function
// `members(archive, value)` names the members. Numbers stand as they are in memory. Not for files that anybody else writes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/error.h"

namespace trapline::isa {

template <class T>
concept SnapshotNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// The walk that both directions share: what they do with raw bytes, and whether a count can be true, is their own.
template <class Self>
class SnapshotArchive {
public:
    template <class... T> void operator()(T&... values) { (item(values), ...); }

private:
    Self& self() { return static_cast<Self&>(*this); }
    template <SnapshotNumber T> void item(T& value) { self().raw(&value, sizeof value); }
    template <class T> void item(T& value) { members(*this, value); }
    void item(std::string& text) {
        length(text);
        self().raw(text.data(), text.size());
    }
    template <class T> void item(std::vector<T>& list) {
        length(list);
        for (T& one : list) item(one);
    }
    void item(std::vector<bool>& list) {
        length(list);
        for (std::size_t i = 0; i < list.size(); ++i) {
            bool bit = list[i];
            item(bit);
            list[i] = bit;
        }
    }
    template <class T, std::size_t N> void item(std::array<T, N>& list) {
        for (T& one : list) item(one);
    }
    template <class A, class B> void item(std::pair<A, B>& pair) { (*this)(pair.first, pair.second); }
    template <class T> void item(std::optional<T>& maybe) {
        bool there = maybe.has_value();
        item(there);
        if (there && !maybe) maybe.emplace();
        if (there) item(*maybe);
    }
    template <class Container> void length(Container& container) {
        auto count = static_cast<std::uint32_t>(container.size());
        item(count);
        if (container.size() != count) container.resize(self().checked(count));
    }
};

/// Appends to `bytes`.
class SnapshotWriter : public SnapshotArchive<SnapshotWriter> {
public:
    std::string bytes;
    void raw(const void* data, std::size_t size) { bytes.append(static_cast<const char*>(data), size); }
    std::size_t checked(std::size_t count) { return count; }
};

/// Reads from a view, and asserts that it is long enough.
class SnapshotReader : public SnapshotArchive<SnapshotReader> {
public:
    explicit SnapshotReader(std::string_view bytes) : bytes_(bytes) {}
    void raw(void* data, std::size_t size) {
        TRAPLINE_ASSERT(size <= bytes_.size(), "a database snapshot ends too early: it is of another build");
        std::memcpy(data, bytes_.data(), size);
        bytes_.remove_prefix(size);
    }
    /// Every element takes a byte at least.
    std::size_t checked(std::size_t count) {
        TRAPLINE_ASSERT(count <= bytes_.size(), "a list in a database snapshot is longer than the snapshot: it is of another build");
        return count;
    }
    bool done() const { return bytes_.empty(); }

private:
    std::string_view bytes_;
};

/// Writes a value; the same value gives the same bytes.
template <class T>
std::string to_snapshot(const T& value) {
    SnapshotWriter writer;
    writer(const_cast<T&>(value));  // it only reads: one list of members serves both directions
    return std::move(writer.bytes);
}

/// Reads what to_snapshot wrote of a T in the same build; asserts that it is just that.
template <class T>
T from_snapshot(std::string_view bytes) {
    SnapshotReader reader(bytes);
    T value;
    reader(value);
    TRAPLINE_ASSERT(reader.done(), "a snapshot has bytes behind its end: it is of another build");
    return value;
}

}  // namespace trapline::isa
