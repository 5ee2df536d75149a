// SPDX-License-Identifier: Apache-2.0
// An operand is an absolute address when its highest byte is a sign of 25 bits, 00 or FF, and no opcode shortly before it makes
// it doubtful where the instruction begins.
#include "image/x86_branches.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace trapline::image {
namespace {

constexpr std::size_t kLength = 5;     // opcode and operand
constexpr unsigned kNearby = 0b1110;   // one, two and three bytes before

bool is_sign(std::uint32_t byte) { return (byte & 0xFF) == 0x00 || (byte & 0xFF) == 0xFF; }

/// The first CALL (E8) or JMP (E9) in [at, end), or `end`.
std::size_t find_opcode(const std::uint8_t* bytes, std::size_t at, std::size_t end) {
    constexpr std::uint64_t kEach = 0x0101010101010101;
    for (; end - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
        std::uint64_t word;
        std::memcpy(&word, bytes + at, sizeof word);
        // Zero where an opcode stands; the lowest byte that borrows in the subtraction is such a one.
        const std::uint64_t other = (word & 0xFE * kEach) ^ 0xE8 * kEach;
        const std::uint64_t found = (other - kEach) & ~other & 0x80 * kEach;
        if (found == 0) continue;
        if constexpr (std::endian::native == std::endian::little) return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
        break;
    }
    while (at < end && (bytes[at] & 0xFE) != 0xE8) ++at;
    return at;
}

}  // namespace

std::size_t X86Branches::restore(std::span<std::uint8_t> all) {
    if (all.size() < kLength) return 0;
    const std::size_t end = all.size() - kLength + 1;
    while (at_ < end && (at_ = find_opcode(all.data(), at_, end)) < end) at_ += restore_operand(all) ? kLength : 1;
    return at_;
}

/// Judges the opcode at at_; says whether its operand was an address.
bool X86Branches::restore_operand(std::span<std::uint8_t> all) {
    const std::size_t gap = std::min<std::size_t>(at_ - opcode_at_, 4);
    opcode_at_ = at_;
    passed_ = (passed_ << gap) & kNearby;
    passed_near_ = (passed_near_ << gap) & kNearby;
    std::uint8_t* const operand = all.data() + at_ + 1;
    const bool sign = is_sign(operand[3]);
    if (!sign || passed_near_ != 0 || std::popcount(passed_) > 1) {
        passed_ |= 1;
        passed_near_ |= sign ? 1 : 0;
        return false;
    }
    const auto next = static_cast<std::uint32_t>(at_ + kLength);
    std::uint32_t distance = (operand[0] | std::uint32_t{operand[1]} << 8 | std::uint32_t{operand[2]} << 16 | std::uint32_t{operand[3]} << 24) - next;
    if (passed_ != 0) {
        // The byte that made the opcode before this one pass must do so again: the filter has turned the bits up to there.
        const auto bits = static_cast<unsigned>(32 - 8 * std::countr_zero(passed_));
        if (is_sign(distance >> (bits - 8))) distance = (distance ^ ((std::uint32_t{1} << bits) - 1)) - next;
    }
    for (int i = 0; i < 3; ++i) operand[i] = static_cast<std::uint8_t>(distance >> (8 * i));
    operand[3] = (distance >> 24 & 1) != 0 ? 0xFF : 0x00;
    passed_ = passed_near_ = 0;
    return true;
}

}  // namespace trapline::image
