// SPDX-License-Identifier: Apache-2.0
// XZ's filter for x86 code: calls and jumps carry absolute addresses there, which repeat, and get their distances back here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trapline::image {

/// Undoes the filter in place while bytes are still coming. Source: the XZ file format's "Branch/Call/Jump Filters for
/// Executables", and Linux lib/xz/xz_dec_bcj.c for what it leaves open: which of several opcodes close together counts.
class X86Branches {
public:
    /// Goes on where it stopped; `all` begins with the first byte each time. Gives the number of those that will not change any
    /// more: all but four, which may belong to an operand that has not come yet. At the very end they stay as they are.
    std::size_t restore(std::span<std::uint8_t> all);

private:
    bool restore_operand(std::span<std::uint8_t> all);

    std::size_t at_ = 0;
    std::size_t opcode_at_ = 0;  ///< the last one
    /// Opcodes whose operands were left alone, by how many bytes before the last one they stand: bit 0 is that one itself.
    unsigned passed_ = 0;
    unsigned passed_near_ = 0;  ///< of these, those whose operand's highest byte extends a sign
};

}  // namespace trapline::image
