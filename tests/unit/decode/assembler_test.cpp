// SPDX-License-Identifier: Apache-2.0
// Expected bytes are worked out from the opcode tables of SDM volume 2 (2.1.5: ModRM and SIB, 2.2.1: REX), not from the
// assembler.
#include <catch2/catch.hpp>

#include "decode/assembler.h"
#include "support/bytes.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

std::string hex_of(std::string_view text, Mode mode, std::uint64_t base = 0) {
    const auto assembled = assemble(text, mode, VirtAddr{base});
    if (!assembled) return assembled.error().describe();
    return to_hex(assembled->bytes);
}

constexpr Mode k16r = Mode::real16, k16p = Mode::protected16, k32 = Mode::protected32, k64 = Mode::long64;

}  // namespace

TEST_CASE("assembler: bytes by mode", "[decode]") {
    struct Row {
        const char* text;
        Mode mode;
        const char* hex;
    };
    const Row row = GENERATE(values<Row>({
        {"cli", k16r, "fa"},
        {"mov eax, 0x12345678", k16r, "66b878563412"},      // 66: 32-bit operand in 16-bit code
        {"mov eax, 0x12345678", k32, "b878563412"},
        {"mov ax, 0x1234", k32, "66b83412"},
        {"lgdt [bx + si]", k16p, "0f0110"},                 // 0F 01 /2, ModRM 00 010 000 = [bx+si]
        {"lgdt [eax]", k32, "0f0110"},
        {"sgdt [rax]", k64, "0f0100"},
        {"mov cr3, rdi", k64, "0f22df"},                    // 0F 22 /r, reg = CR3, rm = rdi
        {"mov r8, cr8", k64, "450f20c0"},                   // REX.R selects CR8, REX.B r8
        {"push 0x10", k64, "6a10"},
        {"iretq", k64, "48cf"},
        {"iretd", k32, "cf"},
        {"iretd", k16r, "66cf"},
        {"mov word ptr [0x1000], ax", k16r, "a30010"},
        {"rep movsb", k32, "f3a4"},
        {".code16\nmov ax, 1\n.code32\nmov eax, 1", k32, "b80100b801000000"},
        {"mov rax, 0x1122334455667788", k64, "48b88877665544332211"},
        {"# a comment alone", k64, ""},
    }));
    INFO(row.text << " in mode " << to_string(row.mode));
    CHECK(hex_of(row.text, row.mode) == row.hex);
}

TEST_CASE("assembler: references are resolved at the base", "[decode]") {
    // EB cb counts from the next instruction; E8 cd likewise.
    CHECK(hex_of("here: jmp here", k64, 0x8000) == "ebfe");
    CHECK(hex_of("here: call here + 0x1000", k32, 0x8000) == "e8fb0f0000");
    CHECK(hex_of("mov eax, offset here\nhere:", k32, 0x8000) == "b805800000");
    CHECK(hex_of("mov ax, offset here\nhere:", k16r, 0x7c00) == "b8037c");
    CHECK(hex_of("lea rax, [rip + here]\nhere:", k64, 0x8000) == "488d0500000000");
    CHECK(hex_of(".quad here\nhere:", k64, 0xffffffff81000000) == "080000" "81ffffffff");
    // EA cd is ptr16:32, offset first. LLVM reads no far pointer in Intel syntax.
    CHECK(hex_of(".byte 0xea\n.long here\n.word 8\nhere:", k32, 0x8000) == "ea078000000800");
    CHECK(hex_of(".att_syntax\nljmp $8, $here\nhere:", k32, 0x8000) == "ea078000000800");

    // A number behind the code is reached like a label: jmp rel32, mov [rip + rel32].
    CHECK(hex_of("jmp there\n.set there, -0x10000", k64, 0xffffffffffe00000) == "e9fbff1e00");
    CHECK(hex_of("jmp there\n.set there, 0x9000", k32, 0x8000) == "e9fb0f0000");
    CHECK(hex_of(".code64\nmov dword ptr [rip + there], 5\n.set there, -0x1fff000", k32, 0xfc000000) == "c705f60f000205000000");
    CHECK(hex_of("mov dword ptr [rip + there], 5\n.set there, 0x9000", k64, 0x8000) == "c705f60f000005000000");

    const auto assembled = assemble(".set answer, 42\nnop\nthere: ret", k64, VirtAddr{0x100});
    REQUIRE(assembled.has_value());
    CHECK(assembled->symbols.at("there") == 0x101);
    CHECK(assembled->symbols.at("answer") == 42);
}

TEST_CASE("assembler: a refusal names the line and what stands there", "[decode]") {
    struct Row {
        const char* text;
        Mode mode;
        const char* says;
    };
    const Row row = GENERATE(values<Row>({
        {"nop\nfrobnicate eax", k64, "line 2"},
        {"nop\nfrobnicate eax", k64, "frobnicate eax"},
        {"mov rax, 1", k32, "line 1"},
        {"pusha", k64, "line 1"},                            // SDM: invalid in 64-bit mode
        {"jmp nowhere", k64, "nowhere"},
        {".data\n.byte 1", k64, ".data"},
        {"mov ax, offset here\nhere:", k16r, "expected one that fits"},
        {".macro m\nnop", k64, "line"},
    }));
    const auto assembled = assemble(row.text, row.mode, VirtAddr{0x12345678});
    INFO(row.text << " in mode " << to_string(row.mode));
    REQUIRE_FALSE(assembled.has_value());
    INFO(assembled.error().describe());
    CHECK(assembled.error().describe().find(row.says) != std::string::npos);
}
