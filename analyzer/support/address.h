// SPDX-License-Identifier: Apache-2.0
// Strong types for places: an address in a guest's linear space is not an offset in a file.
#pragma once

#include <compare>
#include <cstdint>

namespace trapline {

/// A linear address of the image (for a relocatable file: an offset inside its section).
struct VirtAddr {
    std::uint64_t value = 0;
    friend constexpr auto operator<=>(VirtAddr, VirtAddr) = default;
    constexpr VirtAddr operator+(std::uint64_t bytes) const { return {value + bytes}; }
    constexpr std::uint64_t operator-(VirtAddr other) const { return value - other.value; }
};

/// A guest-physical address.
struct PhysAddr {
    std::uint64_t value = 0;
    friend constexpr auto operator<=>(PhysAddr, PhysAddr) = default;
};

/// A byte offset in the file that was opened (for a decompressed payload: in the payload).
struct FileOffset {
    std::uint64_t value = 0;
    friend constexpr auto operator<=>(FileOffset, FileOffset) = default;
    constexpr FileOffset operator+(std::uint64_t bytes) const { return {value + bytes}; }
};

/// A half-open range of addresses.
struct AddressRange {
    VirtAddr begin;
    VirtAddr end;
    constexpr std::uint64_t size() const { return end.value - begin.value; }
    constexpr bool contains(VirtAddr address) const { return begin <= address && address < end; }
    friend constexpr auto operator<=>(const AddressRange&, const AddressRange&) = default;
};

}  // namespace trapline
