// SPDX-License-Identifier: Apache-2.0
// Reads 64 offsets at once as if an instruction began at each: length, page entry and leaf. The chain from one
// instruction to the next is then a walk over bytes already computed.
#pragma once

#include <array>
#include <cstdint>

#include "decode/form_tables.h"

namespace trapline::decode {

/// Offsets of one block, and bytes that must be readable from the first of them on.
inline constexpr std::size_t kBlock = 64, kBlockWindow = kBlock + 8;

/// What is known of each offset. Where the block decoder does not decide (two prefixes, VEX, EVEX, maps 0F 38 and
/// 0F 3A), `entry` names an entry that is complex, and `length` is 0.
struct BlockInsns {
    alignas(64) std::array<std::uint8_t, kBlock> length;
    alignas(64) std::array<std::uint8_t, kBlock> select;   ///< register-or-memory and ModRM.reg, as a leaf is selected
    alignas(64) std::array<std::uint16_t, kBlock> entry;   ///< into the mode's pages
};

/// The block decoder of one mode.
class BlockDecoder {
public:
    BlockDecoder() = default;
    /// Reads the opcode classes off the pages. 16-bit modes have no block decoder.
    BlockDecoder(const FormTables& tables, Mode mode);

    /// Says whether this processor and mode have one (AVX-512 VBMI).
    bool available() const { return available_; }
    void decode(const std::uint8_t* bytes, BlockInsns& out) const;

private:
    alignas(64) std::array<std::uint8_t, 256> one_{}, two_{};  ///< opcode classes of maps one and 0F: see the .cpp
    bool long_mode_ = false;
    bool available_ = false;
};

}  // namespace trapline::decode
