// SPDX-License-Identifier: Apache-2.0
// Lengths and parts of instructions. Expected values are worked out from the manuals' encoding rules.
#include <catch2/catch.hpp>

#include "decode/structure.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

Structure parse(std::string_view hex, Mode mode) {
    const auto bytes = parse_hex(hex);
    REQUIRE(bytes.has_value());
    return parse_structure(OpcodeMaps::generated(), *bytes, mode);
}

struct Row {
    const char* hex;
    Mode mode;
    int length;
};

constexpr Mode k16r = Mode::real16, k16p = Mode::protected16, k32 = Mode::protected32, k64 = Mode::long64;

}  // namespace

TEST_CASE("structure: lengths follow operand size, address size and mode", "[decode]") {
    const Row row = GENERATE(values<Row>({
        {"90", k64, 1},
        {"0fa2", k16r, 2},
        // Immediates by operand size.
        {"0511223344", k32, 5},            // add eax, imm32
        {"66051122", k32, 4},              // add ax, imm16
        {"051122", k16p, 3},               // add ax, imm16
        {"660511223344", k16p, 6},         // add eax, imm32
        {"480511223344", k64, 6},          // add rax, imm32
        {"66480511223344", k64, 7},        // REX.W outranks 66
        {"48b81122334455667788", k64, 10}, // movabs
        {"66b81122", k64, 4},
        {"b811223344", k64, 5},
        {"c8112203", k64, 4},              // enter 0x2211, 3
        {"f60012", k32, 3},                // test byte [eax], imm8
        {"f610", k32, 2},                  // not byte [eax]
        {"f70011223344", k32, 6},
        {"66f7081122", k32, 5},            // /1 is TEST too
        {"f718", k32, 2},                  // neg
        // moffs by address size.
        {"a01122334455667788", k64, 9},
        {"67a011223344", k64, 6},
        {"a011223344", k32, 5},
        {"67a01122", k32, 4},
        {"a01122", k16r, 3},
        // Far pointers.
        {"9a112233445566", k32, 7},
        {"669a11223344", k32, 6},
        {"ea11223344", k16r, 5},
        // Near branches: 66 is ignored in 64-bit mode (Intel).
        {"e811223344", k64, 5},
        {"66e811223344", k64, 6},
        {"660f8411223344", k64, 7},
        {"66e81122", k32, 4},
        {"e81122", k16p, 3},
        // Memory operands.
        {"8b05112233ff", k64, 6},          // [rip + disp32]
        {"8b042511223344", k64, 7},        // SIB without base
        {"8b442410", k64, 4},
        {"8b842411223344", k64, 7},
        {"8b061122", k16r, 4},             // [disp16]
        {"8b4510", k16r, 3},
        {"678b0411", k16r, 4},             // 32-bit addressing with SIB
        {"678b451122", k32, 4},            // [di + disp8] and one byte too many
        // ModRM.mod is ignored by MOV CR and MOV DR: no SIB, no displacement.
        {"0f2004", k64, 3},
        {"0f2280", k32, 3},
        // UD1 has a ModRM byte.
        {"0fb9cc", k64, 3},
        // 3DNow! with its opcode last.
        {"0f0f40109e", k32, 5},            // pfadd mm0, [eax + 16]
        // SSE4a: two immediates with 66 and F2, none without.
        {"660f78c00102", k64, 6},
        {"f20f78c10102", k64, 6},
        {"0f78c1", k64, 3},                // vmread
        // VEX, EVEX, XOP.
        {"c5f877", k64, 3},
        {"c5f877", k32, 3},
        {"c5f970c12a", k64, 5},            // vpshufd xmm0, xmm1, 42
        {"c4e27849c0", k64, 5},            // tilerelease
        {"62f1650872c310", k64, 7},        // vprold with imm8
        {"62f1fd48e70424", k64, 7},        // vmovntdq zmmword [rsp]
        {"8fe97812c0", k32, 5},            // llwpcb
        {"8fea7812c178563412", k64, 9},    // lwpins with imm32
        // C4, C5 and 62 keep their old meaning outside 64-bit mode unless mod is 3.
        {"c401", k32, 2},                  // les
        {"c50511223344", k32, 6},          // lds
        {"6201", k32, 2},                  // bound
        {"8f00", k32, 2},                  // pop
        // REX2.
        {"d50000c0", k64, 4},              // add al, al
        {"d500a11122334455667788", k64, 11},  // jmpabs
    }));
    const Structure structure = parse(row.hex, row.mode);
    INFO(row.hex << " in " << to_string(row.mode) << ": " << to_string(structure.status));
    CHECK(structure.valid());
    CHECK(static_cast<int>(structure.length) == row.length);
}

TEST_CASE("structure: what is no instruction says why", "[decode]") {
    struct Negative {
        const char* hex;
        Mode mode;
        StructureStatus status;
    };
    const Negative row = GENERATE(values<Negative>({
        {"06", k64, StructureStatus::not_in_mode},              // push es
        {"82c001", k64, StructureStatus::not_in_mode},
        {"d6", k64, StructureStatus::not_in_mode},              // salc
        {"63c0", k16r, StructureStatus::not_in_mode},           // arpl
        {"0f00c0", k16r, StructureStatus::not_in_mode},         // sldt
        {"0f04", k32, StructureStatus::hole},
        {"8ec8", k32, StructureStatus::hole},                   // mov cs, ax
        {"8cf0", k32, StructureStatus::hole},                   // segment register 6
        {"0f20c8", k64, StructureStatus::hole},                 // mov rax, cr1
        {"440f20c8", k64, StructureStatus::hole},               // mov rax, cr9
        {"440f21c0", k64, StructureStatus::hole},               // mov rax, dr8
        {"fe10", k64, StructureStatus::hole},
        {"8dc0", k64, StructureStatus::needs_memory},           // lea with a register
        {"fff8", k32, StructureStatus::hole},                   // group 5 /7
        {"0fd700", k32, StructureStatus::needs_register},       // pmovmskb from memory
        {"f30f54c0", k64, StructureStatus::prefix_undefined},   // andps with F3
        {"66c5f877", k64, StructureStatus::prefix_before_vex},
        {"f2c5f877", k64, StructureStatus::prefix_before_vex},
        {"f0c5f877", k64, StructureStatus::prefix_before_vex},
        {"48c5f877", k64, StructureStatus::prefix_before_vex},
        {"c4e47800", k64, StructureStatus::reserved_map},
        {"62f07c0800c0", k64, StructureStatus::reserved_map},
        {"8feb7800c0", k64, StructureStatus::reserved_map},
        {"c5f877", k16r, StructureStatus::vex_in_real_mode},
        {"8fe97812c0", k16r, StructureStatus::vex_in_real_mode},
        {"48d50000c0", k64, StructureStatus::rex2_misplaced},
        {"d50070c0", k64, StructureStatus::rex2_misplaced},     // jo
        {"d5000fc0", k64, StructureStatus::rex2_misplaced},     // escape
        {"d50066c0", k64, StructureStatus::rex2_misplaced},     // prefix
        {"f00f20c0", k64, StructureStatus::lock_illegal},       // only a record can allow it
        {"f0fa", k64, StructureStatus::lock_illegal},           // lock cli
        {"f001c0", k64, StructureStatus::lock_illegal},         // a register destination
        {"f00300", k64, StructureStatus::lock_illegal},         // a register destination, memory source
        {"f08338ff", k64, StructureStatus::lock_illegal},       // lock cmp
    }));
    INFO(row.hex << " in " << to_string(row.mode));
    CHECK(to_string(parse(row.hex, row.mode).status) == to_string(row.status));
}

TEST_CASE("structure: LOCK is taken by memory destinations only", "[decode]") {
    for (const char* hex : {"f00100", "f0830001", "f0ff00", "f0f710", "f00fab00", "f00fba2801", "f00fb100", "f00fc708", "f08700", "f00fc100"}) {
        INFO(hex);
        CHECK(parse(hex, k32).valid());
    }
    for (const char* hex : {"f001c0", "f083c001", "f0ffc0", "f0f7d0", "f00fabc0", "f00fbae801", "f00fb1c0", "f087c0", "f0ff30", "f00fba2001", "f08800"}) {
        INFO(hex);
        CHECK(parse(hex, k32).status == StructureStatus::lock_illegal);
    }
}

TEST_CASE("structure: an instruction has at most 15 bytes", "[decode]") {
    // ds add dword [rax + rax + 0x44332211], 5: nine bytes.
    const std::string tail = "3e8384001122334405";
    const auto with_prefixes = [&](int count) {
        std::string hex;
        for (int i = 0; i < count; ++i) hex += "2e";
        return hex + tail;
    };
    CHECK(parse(with_prefixes(6), k64).valid());
    CHECK(static_cast<int>(parse(with_prefixes(6), k64).length) == 15);
    CHECK(parse(with_prefixes(7), k64).status == StructureStatus::too_long);

    CHECK(parse("6666666666666666666666666666" "90", k32).valid());                       // 14 prefixes and NOP
    CHECK(parse("666666666666666666666666666666" "90", k32).status == StructureStatus::too_long);
    CHECK(parse("66666666666666666666666666666666", k32).status == StructureStatus::too_long);
    CHECK(parse("6666666666666666666666666666", k32).status == StructureStatus::truncated);
}

TEST_CASE("structure: truncation at every byte is seen", "[decode]") {
    for (const char* hex : {"48b81122334455667788", "66480f38f68411223344ff", "c4e17970042511223344ff", "62f1fd48e78424000000ff",
                            "f0480fc74c2410", "0f0f44881096", "8fea7812842411223344ff000000", "d51781842411223344ff000000"}) {
        const auto bytes = parse_hex(hex);
        REQUIRE(bytes.has_value());
        const int length = parse_structure(OpcodeMaps::generated(), *bytes, k64).length;
        REQUIRE(length > 0);
        for (int size = 0; size < length; ++size) {
            INFO(hex << " cut to " << size);
            const Structure cut = parse_structure(OpcodeMaps::generated(), Bytes(*bytes).first(static_cast<std::size_t>(size)), k64);
            CHECK(cut.status == StructureStatus::truncated);
            CHECK(static_cast<int>(cut.length) == 0);
        }
    }
}

TEST_CASE("structure: the key and the positions of the parts", "[decode]") {
    const Structure sgdt = parse("670f014424f8", k32);  // sgdt [si + 0x24], then one byte more
    CHECK(static_cast<int>(sgdt.length) == 5);
    CHECK(sgdt.key.map == isa::OpcodeMap::m0f);
    CHECK(static_cast<int>(sgdt.key.asize) == 16);
    CHECK(static_cast<int>(sgdt.displacement_offset) == 4);
    CHECK(static_cast<int>(sgdt.displacement_size) == 1);

    const Structure add = parse("654881842411223344aabbccdd", k64);  // add qword gs:[rsp + 0x44332211], imm32
    CHECK(static_cast<int>(add.segment) == 0x65);
    CHECK(static_cast<int>(add.osize) == 64);
    CHECK(static_cast<int>(add.prefix_size) == 2);
    CHECK(static_cast<int>(add.displacement_offset) == 5);
    CHECK(static_cast<int>(add.immediate_offset) == 9);
    CHECK(static_cast<int>(add.immediate_size) == 4);

    const Structure cr8 = parse("440f20c0", k64);
    CHECK(static_cast<int>(cr8.key.reg) == 8);
    const Structure swapgs = parse("4c0f01f8", k64);  // REX.R does not reach an opcode extension
    CHECK(static_cast<int>(swapgs.key.reg) == 7);
    const Structure sreg = parse("448ed8", k64);  // nor a segment register
    CHECK(static_cast<int>(sreg.key.reg) == 3);

    CHECK_FALSE(parse("48669d", k64).key.w);  // REX not directly before the opcode is ignored
    CHECK(parse("48669d", k64).rex_ignored);
    CHECK(parse("66489d", k64).key.w);
    CHECK(parse("f2f30fb8c0", k64).key.prefix == isa::PrefixSet::f3);    // the last of F2 and F3
    CHECK(parse("f3660fb8c0", k64).key.prefix == isa::PrefixSet::f3);    // either outranks 66
    CHECK(static_cast<int>(parse("652e8b00", k64).segment) == 0x65);     // CS does not cancel GS in 64-bit mode
    CHECK(static_cast<int>(parse("652e8b00", k32).segment) == 0x2E);
}
