// SPDX-License-Identifier: Apache-2.0
// Sparse memory in granules of eight bytes.
#include "patch/proof/memory.h"

#include <algorithm>

namespace trapline::patch::proof {
namespace {

/// Spreads a mask of one bit a byte to one of eight bits a byte.
std::uint64_t spread(std::uint8_t mask) {
    std::uint64_t wide = 0;
    for (int byte = 0; byte < 8; ++byte)
        if ((mask >> byte & 1) != 0) wide |= std::uint64_t{0xFF} << (8 * byte);
    return wide;
}

constexpr std::uint64_t low_bytes(unsigned size) { return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1; }

}  // namespace

const SparseMemory::Granule* SparseMemory::find(std::uint64_t index) const {
    const auto found = std::find_if(granules_.begin(), granules_.end(), [&](const Granule& granule) { return granule.index == index; });
    return found == granules_.end() ? nullptr : &*found;
}

SparseMemory::Granule& SparseMemory::at(std::uint64_t index) {
    const Granule* const known = find(index);
    if (known != nullptr) return granules_[static_cast<std::size_t>(known - granules_.data())];
    return granules_.emplace_back(Granule{index, first_content(index), 0});
}

std::uint64_t SparseMemory::load(std::uint64_t address, unsigned size) const {
    const auto content = [&](std::uint64_t index) {
        const Granule* const granule = find(index);
        return granule != nullptr ? granule->value : first_content(index);
    };
    const unsigned shift = static_cast<unsigned>(address & 7);
    std::uint64_t value = content(address >> 3) >> (8 * shift);
    if (shift + size > 8) value |= content((address + 7) >> 3) << (8 * (8 - shift));
    return value & low_bytes(size);
}

void SparseMemory::store(std::uint64_t address, unsigned size, std::uint64_t value) {
    for (unsigned done = 0; done < size;) {
        const std::uint64_t place = address + done;
        const unsigned shift = static_cast<unsigned>(place & 7), count = std::min(size - done, 8 - shift);
        Granule& granule = at(place >> 3);
        const std::uint64_t field = low_bytes(count) << (8 * shift);
        granule.value = (granule.value & ~field) | (value >> (8 * done) << (8 * shift) & field);
        granule.worthless &= static_cast<std::uint8_t>(~(((1u << count) - 1) << shift));
        done += count;
    }
}

void SparseMemory::forget(std::uint64_t address, std::uint64_t size) {
    for (std::uint64_t done = 0; done < size; ++done) {
        const std::uint64_t place = address + done;
        at(place >> 3).worthless |= static_cast<std::uint8_t>(1u << (place & 7));
    }
}

std::uint64_t SparseMemory::digest() const {
    std::uint64_t sum = 0;
    for (const Granule& granule : granules_) {
        const std::uint64_t first = first_content(granule.index), ignored = spread(granule.worthless);
        const std::uint64_t content = (granule.value & ~ignored) | (first & ignored);
        if (content != first) sum += mix(mix(granule.index, 1), content);
    }
    return sum;
}

std::optional<std::uint64_t> SparseMemory::find_difference(const SparseMemory& other) const {
    std::optional<std::uint64_t> lowest;
    const auto compare = [&](const SparseMemory& one, const SparseMemory& two) {
        for (const Granule& granule : one.granules_) {
            const Granule* const peer = two.find(granule.index);
            const std::uint64_t value = peer != nullptr ? peer->value : first_content(granule.index);
            const std::uint8_t both = peer != nullptr ? granule.worthless & peer->worthless : 0;
            for (unsigned byte = 0; byte < 8; ++byte) {
                if ((both >> byte & 1) != 0 || ((granule.value ^ value) >> (8 * byte) & 0xFF) == 0) continue;
                const std::uint64_t address = granule.index * 8 + byte;
                if (!lowest || address < *lowest) lowest = address;
                break;
            }
        }
    };
    compare(*this, other);
    compare(other, *this);
    return lowest;
}

}  // namespace trapline::patch::proof
