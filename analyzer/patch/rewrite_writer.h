// SPDX-License-Identifier: Apache-2.0
// Little-endian fields for the files that the rewriter makes: the writing side of ByteView.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "support/bytes.h"

namespace trapline::patch {

using Buffer = std::vector<std::uint8_t>;

/// Appends the low `size` bytes (1 to 8) of `value`.
inline void put(Buffer& out, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

/// Appends bytes as they are.
inline void put(Buffer& out, Bytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

/// Appends an unsigned LEB128 number, as DWARF defines it.
inline void put_leb128(Buffer& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
    out.push_back(static_cast<std::uint8_t>(value));
}

/// Overwrites a field of `size` bytes; its place has been checked by the caller.
inline void poke(Buffer& out, std::uint64_t at, std::uint64_t value, std::size_t size) {
    TRAPLINE_ASSERT(at <= out.size() && out.size() - at >= size, "a field is written inside the buffer");
    for (std::size_t i = 0; i < size; ++i) out[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// Overwrites bytes; their place has been checked by the caller.
inline void poke(Buffer& out, std::uint64_t at, Bytes bytes) {
    TRAPLINE_ASSERT(at <= out.size() && out.size() - at >= bytes.size(), "bytes are written inside the buffer");
    std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
}

/// Reads an unsigned LEB128 number at `at` and moves `at` behind it; nothing when it leaves the view or 64 bits.
inline std::optional<std::uint64_t> get_leb128(ByteView view, std::uint64_t& at) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const auto byte = view.get<std::uint8_t>(at++);
        if (!byte || (shift == 63 && (*byte & 0x7E) != 0)) return std::nullopt;
        value |= std::uint64_t{*byte & 0x7Fu} << shift;
        if ((*byte & 0x80) == 0) return value;
    }
    return std::nullopt;
}

}  // namespace trapline::patch
