// SPDX-License-Identifier: Apache-2.0
// The memory of the reference machine: unbounded, its first content a function of address and seed, and with a mark on bytes
// whose content is worth nothing because a stub declares that it may overwrite them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trapline::patch::proof {

/// Mixes a word into a hash. Not cryptographic: it decides about random states, not about trust.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
    // The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    std::uint64_t z = (hash ^ word) + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/// Bytes by 64-bit address. Addresses wrap at 2^64. Only what was stored takes memory.
class SparseMemory {
public:
    explicit SparseMemory(std::uint64_t seed) : seed_(seed) {}

    /// Reads `size` (1 to 8) bytes, little-endian.
    std::uint64_t load(std::uint64_t address, unsigned size) const;
    /// Writes the low `size` (1 to 8) bytes of `value`; what is written is worth something again.
    void store(std::uint64_t address, unsigned size, std::uint64_t value);
    /// Declares [address, address + size) worthless until it is written again.
    void forget(std::uint64_t address, std::uint64_t size);

    /// A hash of what differs from the first content, worthless bytes left out: the order of the stores does not matter, and
    /// a byte that holds its first content counts as never written.
    std::uint64_t digest() const;
    /// The lowest address at which two memories of one seed differ in a byte that is not worthless in both.
    std::optional<std::uint64_t> find_difference(const SparseMemory& other) const;

private:
    /// Eight bytes at a multiple of eight.
    struct Granule {
        std::uint64_t index = 0;       ///< address / 8
        std::uint64_t value = 0;
        std::uint8_t worthless = 0;    ///< one bit a byte
    };
    std::uint64_t first_content(std::uint64_t index) const { return mix(seed_, index); }
    const Granule* find(std::uint64_t index) const;
    Granule& at(std::uint64_t index);

    std::uint64_t seed_;
    std::vector<Granule> granules_;  ///< a window stores to a few dozen places: a search in order is the quickest
};

}  // namespace trapline::patch::proof
