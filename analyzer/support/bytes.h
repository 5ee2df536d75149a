// SPDX-License-Identifier: Apache-2.0
// The one place where bytes of hostile input are read: every access is checked, none can wrap.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace trapline {

using Bytes = std::span<const std::uint8_t>;

/// Reads little-endian fields of a byte range; nothing is read outside it.
class ByteView {
public:
    ByteView() = default;
    explicit ByteView(Bytes bytes) : bytes_(bytes) {}

    std::size_t size() const { return bytes_.size(); }
    Bytes bytes() const { return bytes_; }

    /// Reads an integer of 1, 2, 4 or 8 bytes; nothing when it would pass the end.
    template <class T>
    std::optional<T> get(std::uint64_t offset) const {
        if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
        T value{};
        if constexpr (std::endian::native == std::endian::little) {
            // The compiler makes one load of it; of the loop below it does not.
            std::memcpy(&value, bytes_.data() + offset, sizeof(T));
            return value;
        }
        for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<T>(bytes_[offset + i]) << (8 * i));
        return value;
    }
    /// Cuts [offset, offset + length); nothing when it would pass the end.
    std::optional<Bytes> slice(std::uint64_t offset, std::uint64_t length) const {
        if (offset > bytes_.size() || bytes_.size() - offset < length) return std::nullopt;
        return bytes_.subspan(offset, length);
    }
    /// Reads a NUL-terminated string that ends inside the view; nothing when it does not.
    std::optional<std::string_view> c_string(std::uint64_t offset) const;

private:
    Bytes bytes_;
};

/// Renders bytes as lower-case hex without separators.
std::string to_hex(Bytes bytes);
/// Reads hex digits, ignoring blanks; names the offending character and its column when malformed.
Result<std::vector<std::uint8_t>> parse_hex(std::string_view text);

}  // namespace trapline
