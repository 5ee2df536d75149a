// SPDX-License-Identifier: Apache-2.0
// Random integer instructions and operands for comparisons of the interpreter, and the flags that the manual leaves undefined.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace trapline {

/// What follows an opcode, and what keeps it out of protected mode (loads of segment registers need tables there).
enum Tail : std::uint8_t { kNothing = 0, kModrm = 1, kImm8 = 2, kImmWord = 4, kImm16 = 8, kOffset = 16, kTest = 32, kString = 64, kRealOnly = 128 };

/// One instruction and its fields.
struct Sample {
    std::vector<std::uint8_t> bytes;
    std::uint16_t opcode = 0;  ///< 0x100 more in the 0F map
    std::uint8_t tail = 0, modrm = 0, imm8 = 0, repeat = 0;
    bool has_lock = false, has_cs = false;
    unsigned operand = 4, address = 4;  ///< attributes in bytes
    bool is_memory() const { return (tail & kModrm) != 0 && modrm < 0xC0; }
    bool repeats() const { return (tail & kString) != 0 && repeat != 0; }
    unsigned reg() const { return (modrm >> 3) & 7; }
    /// Operand size in bytes.
    unsigned size() const;
};

/// Draws instructions for 16-bit code in real mode or flat 32-bit code whose data lies in a range. Far transfers, system
/// instructions and LOCK where it is not allowed are left out.
class SampleGenerator {
public:
    SampleGenerator(unsigned mode, std::uint64_t seed, std::uint32_t data, std::uint32_t data_size);

    std::uint32_t next() { return static_cast<std::uint32_t>(random_()); }
    bool one_in(unsigned n) { return next() % n == 0; }
    Sample draw();
    /// Values at the edges of signs and carries are as likely as any.
    std::uint32_t edge();
    /// Somewhere in the data, not near its ends.
    std::uint32_t data_address() { return data_ + 0x4000 + next() % (data_size_ - 0x8000); }

private:
    void prefixes(Sample& out);
    void modrm(Sample& out);

    const unsigned mode_;
    const std::uint32_t data_, data_size_;
    std::mt19937_64 random_;
    std::vector<std::pair<std::uint16_t, std::uint8_t>> opcodes_;
};

/// Flags that the manual calls undefined after this instruction, whose count in CL is `cl`.
std::uint64_t undefined_flags(const Sample& sample, unsigned cl);

}  // namespace trapline
