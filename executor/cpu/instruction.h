// SPDX-License-Identifier: Apache-2.0
// An instruction of 16- or 32-bit code as its bytes alone tell, so that it can be kept and executed again.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "executor/cpu/vcpu.h"

namespace trapline::executor {

class Execution;
enum class Step : std::uint8_t;

/// SDM vol. 2, 2.1 and 2.3.11: a longer instruction raises #GP(0).
inline constexpr unsigned kLongestInstruction = 15;

/// Executes a decoded instruction. `vcpu.rip` still is its start.
using Handler = Step (*)(Execution&);

struct Instruction {
    static constexpr std::uint8_t kNoRegister = 8;

    Handler handler = nullptr;
    std::uint32_t displacement = 0;       ///< of the memory operand, sign-extended; or its whole offset
    std::uint32_t imm = 0;                ///< bytes are sign-extended
    std::uint16_t imm2 = 0;               ///< the selector of a far pointer, ENTER's level
    std::uint16_t opcode = 0;             ///< the byte; 0x100 more in the 0F map
    std::uint8_t length = 0;              ///< bytes decoded
    std::uint8_t size = 4;                ///< operand size in bytes: 1, 2 or 4
    std::uint8_t word_size = 4;           ///< 2 or 4: the operand size attribute, also where `size` is 1
    std::uint8_t address_size = 4;        ///< 2 or 4
    std::uint8_t repeat = 0;              ///< 0xF2 or 0xF3, whichever came last, or 0
    std::uint8_t segment = kDs;           ///< of the memory operand; with `has_override` from a prefix
    std::uint8_t modrm = 0;
    std::uint8_t base = kNoRegister, index = kNoRegister, scale = 0;  ///< of the memory operand
    bool lock = false;
    bool operand_prefix = false;          ///< 66 is there
    bool has_override = false;
    bool is_memory = false;               ///< mod is not 3

    unsigned reg() const { return (modrm >> 3) & 7; }
    unsigned rm() const { return modrm & 7; }
    std::uint32_t address_mask() const { return address_size == 4 ? 0xFFFFFFFF : 0xFFFF; }
};

/// Where the bytes of an instruction come from, as far as they are needed.
class InstructionBytes {
public:
    /// The next 1, 2 or 4 bytes.
    bool take(unsigned bytes, std::uint32_t& value) {
        if (taken_ + bytes > available_ && !provide(taken_ + bytes)) return false;
        value = 0;
        for (unsigned i = 0; i < bytes; ++i) value |= std::uint32_t{bytes_[taken_ + i]} << (8 * i);
        taken_ += bytes;
        return true;
    }
    unsigned taken() const { return taken_; }

protected:
    ~InstructionBytes() = default;
    /// Fills `bytes_` until so many are there. False where they cannot be had.
    virtual bool provide(unsigned wanted) = 0;

    std::array<std::uint8_t, kLongestInstruction> bytes_;
    unsigned available_ = 0;

private:
    unsigned taken_ = 0;
};

enum class Decoding : std::uint8_t {
    done,
    no_bytes,  ///< the bytes did not suffice
    invalid,   ///< LOCK where it must not stand: #UD
};

/// `big`: CS.D. `out` is fresh; its length counts what was taken, whatever comes of it.
Decoding decode(InstructionBytes& bytes, bool big, Instruction& out);
/// As above from bytes at hand.
Decoding decode(std::span<const std::uint8_t> bytes, bool big, Instruction& out);

}  // namespace trapline::executor
