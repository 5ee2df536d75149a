// SPDX-License-Identifier: Apache-2.0
// Decoding for the interpreter: the fields of instructions worked out by hand from SDM vol. 2, chapter 2 and appendix A.
#include "executor/cpu/instruction.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace trapline::executor;

namespace {

constexpr std::uint8_t kNone = Instruction::kNoRegister;

struct Row {
    const char* text;
    bool big;
    std::vector<std::uint8_t> bytes;
    unsigned opcode, size, address_size, segment, base, index, scale;
    std::uint32_t displacement, imm;
    bool is_memory;
};

const Row kRows[] = {
    {"mov eax, [ebx+ecx*4+0x12345678]", true, {0x8B, 0x84, 0x8B, 0x78, 0x56, 0x34, 0x12}, 0x8B, 4, 4, kDs, kRbx, kRcx, 2, 0x12345678, 0, true},
    {"mov al, [ebp-1]", true, {0x8A, 0x45, 0xFF}, 0x8A, 1, 4, kSs, kRbp, kNone, 0, 0xFFFFFFFF, 0, true},
    {"add word fs:[esi], -2", true, {0x64, 0x66, 0x83, 0x06, 0xFE}, 0x83, 2, 4, kFs, kRsi, kNone, 0, 0, 0xFFFFFFFE, true},
    {"push dword [esp]", true, {0xFF, 0x34, 0x24}, 0xFF, 4, 4, kSs, kRsp, kNone, 0, 0, 0, true},
    {"mov eax, [0x1000] (SIB without base)", true, {0x8B, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00}, 0x8B, 4, 4, kDs, kNone, kNone, 0, 0x1000, 0, true},
    {"mov al, es:[0x1234]", false, {0x26, 0xA0, 0x34, 0x12}, 0xA0, 1, 2, kEs, kNone, kNone, 0, 0x1234, 0, true},
    {"mov dx, [bp+di-2]", false, {0x8B, 0x53, 0xFE}, 0x8B, 2, 2, kSs, kRbp, kRdi, 0, 0xFFFFFFFE, 0, true},
    {"movzx ecx, byte [eax]", true, {0x0F, 0xB6, 0x08}, 0x1B6, 4, 4, kDs, kRax, kNone, 0, 0, 0, true},
    {"test bl, 0x80 (group 3 has an immediate for /0 alone)", true, {0xF6, 0xC3, 0x80}, 0xF6, 1, 4, kDs, kNone, kNone, 0, 0, 0xFFFFFF80, false},
    {"not bl", true, {0xF6, 0xD3}, 0xF6, 1, 4, kDs, kNone, kNone, 0, 0, 0, false},
    {"a prefix that comes twice toggles once", true, {0x66, 0x66, 0xB8, 0x34, 0x12}, 0xB8, 2, 4, kDs, kNone, kNone, 0, 0, 0x1234, false},
};

}  // namespace

TEST_CASE("the fields of an instruction", "[executor][instruction]") {
    for (const Row& row : kRows) {
        INFO(row.text);
        std::vector<std::uint8_t> bytes = row.bytes;
        bytes.resize(bytes.size() + 4, 0xCC);
        Instruction got;
        REQUIRE(decode(bytes, row.big, got) == Decoding::done);
        CHECK(got.length == row.bytes.size());
        CHECK(got.opcode == row.opcode);
        CHECK(got.size == row.size);
        CHECK(got.address_size == row.address_size);
        CHECK(got.is_memory == row.is_memory);
        if (row.is_memory) CHECK(got.segment == row.segment);
        CHECK(got.base == row.base);
        CHECK(got.index == row.index);
        CHECK(got.scale == row.scale);
        CHECK(got.displacement == row.displacement);
        CHECK(got.imm == row.imm);
        CHECK(got.handler != nullptr);
    }
}

TEST_CASE("an instruction that is cut off anywhere is not decoded", "[executor][instruction]") {
    for (const Row& row : kRows)
        for (std::size_t size = 0; size < row.bytes.size(); ++size) {
            INFO(row.text << ", " << size << " bytes");
            Instruction got;
            CHECK(decode({row.bytes.data(), size}, row.big, got) == Decoding::no_bytes);
        }
}

TEST_CASE("fifteen bytes are the most, and LOCK has its places", "[executor][instruction]") {
    std::vector<std::uint8_t> bytes(14, 0x3E);
    bytes.push_back(0x90);
    Instruction longest;
    CHECK(decode(bytes, true, longest) == Decoding::done);
    CHECK(longest.length == 15);
    bytes.insert(bytes.begin(), 0x3E);
    Instruction too_long;
    CHECK(decode(bytes, true, too_long) == Decoding::no_bytes);
    // SDM vol. 2, LOCK: not with a register as destination.
    const std::vector<std::uint8_t> locked{0xF0, 0x01, 0xC3};
    Instruction invalid;
    CHECK(decode(locked, true, invalid) == Decoding::invalid);
    CHECK(invalid.length == 3);
}
