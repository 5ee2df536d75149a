// SPDX-License-Identifier: Apache-2.0
// What an instruction's operands say if they are read as addresses.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "scan/section_code.h"

namespace trapline::scan {

/// One field of an instruction, read as an address.
struct OperandValue {
    VirtAddr value;
    bool relative = false;     ///< a rip-relative operand; else an absolute address
    std::uint8_t offset = 0;   ///< of the field in the instruction
    std::uint8_t size = 0;     ///< of the field, bytes
};

/// Few enough to need no allocation: one displacement and one immediate, each of 4 bytes with two readings.
class OperandValues {
public:
    void add(OperandValue value) { values_[count_++] = value; }
    const OperandValue* begin() const { return values_.data(); }
    const OperandValue* end() const { return values_.data() + count_; }

private:
    std::array<OperandValue, 4> values_;
    std::size_t count_ = 0;
};

/// Reads the displacement and the immediate of the instruction at the start of `insn`, which stands at `address`: a
/// rip-relative displacement as what it points to, other fields of 4 bytes zero-extended and in 64-bit code also
/// sign-extended, fields of 8 bytes, and the offset of a far pointer. Nothing for 16-bit code and for shorter fields.
OperandValues operand_values(Bytes insn, Mode mode, VirtAddr address);

/// From the first to the last address of the code under scan, gaps included: a cheap first question.
class CodeRange {
public:
    explicit CodeRange(const std::vector<SectionCode>& sections);

    bool contains(VirtAddr address) const { return address.value - begin_ < size_; }
    /// Says whether some field of an instruction could name an address in the range, by looking at every place where a
    /// field could be. False is certain. `next` is the address behind the instruction.
    bool may_be_named_by(Bytes insn, Mode mode, VirtAddr next) const;

private:
    std::uint64_t begin_ = 0, size_ = 0;
};

}  // namespace trapline::scan
