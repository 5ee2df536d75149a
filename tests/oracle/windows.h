// SPDX-License-Identifier: Apache-2.0
// Where the differential check takes its bytes from: at random, or every field of every opcode of a map in turn.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "isa/encoding.h"
#include "support/bytes.h"

namespace trapline::oracle {

/// Bytes handed out for one instruction: enough for the decoder's fast path, which reads further than an instruction goes.
inline constexpr std::size_t kWindowSize = 32;
using Window = std::array<std::uint8_t, kWindowSize>;
using Visit = std::function<void(Bytes window)>;

/// Small generator with a 64-bit state (splitmix64), so that a seed names the same bytes everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    std::uint8_t byte() { return static_cast<std::uint8_t>(next() >> 32); }
    unsigned below(unsigned limit) { return static_cast<unsigned>((next() >> 32) % limit); }

private:
    std::uint64_t state_;
};

/// Visits a window at each of `count` positions of a stream of random bytes.
void visit_random(std::uint64_t count, Random random, const Visit& visit);

/// Visits `count` windows that begin, after some prefixes, with an escape to another map or a vector prefix more often
/// than not: plain random bytes seldom do, and then mostly with reserved fields.
void visit_biased(std::uint64_t count, Mode mode, Random random, const Visit& visit);

/// Visits the opcodes [first, first + 16) of a map with each mandatory prefix, W, length, several vvvv, register and
/// memory operands with each ModRM.reg, and one at a time what else may bear on validity: prefixes, REX, REX2, the high
/// register bits, broadcast, zeroing and mask.
void visit_systematic(isa::OpcodeMap map, std::uint8_t first, Mode mode, const Visit& visit);

}  // namespace trapline::oracle
