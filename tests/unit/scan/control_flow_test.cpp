// SPDX-License-Identifier: Apache-2.0
// Control flow of single instructions. Targets are worked out by hand: next instruction plus displacement.
#include "scan/control_flow.h"

#include <catch2/catch.hpp>

namespace trapline {
namespace {

using scan::Flow;

struct Row {
    const char* bytes;
    Mode mode;
    std::uint64_t address;
    Flow kind;
    std::optional<std::uint64_t> target;
};

TEST_CASE("control flow: kinds and targets") {
    const Mode m16 = Mode::protected16, m32 = Mode::protected32, m64 = Mode::long64;
    const std::vector<Row> rows = {
        {"90", m64, 0x1000, Flow::fallthrough, {}},
        {"EB05", m64, 0x1000, Flow::jump, 0x1007},
        {"EBFE", m64, 0x1000, Flow::jump, 0x1000},              // jmp .
        {"74F0", m64, 0x1000, Flow::conditional, 0xFF2},        // je: 0x1002 - 0x10
        {"2E74F0", m32, 0x1000, Flow::conditional, 0xFF3},      // branch hint
        {"E900010000", m64, 0x1000, Flow::jump, 0x1105},
        {"E8FBFFFFFF", m64, 0x1000, Flow::call, 0x1000},        // call .
        {"F2E800000000", m64, 0x1000, Flow::call, 0x1006},      // bnd call
        {"0F8400010000", m32, 0x1000, Flow::conditional, 0x1106},
        {"E30A", m64, 0x1000, Flow::conditional, 0x100C},       // jrcxz
        {"67E30A", m64, 0x1000, Flow::conditional, 0x100D},     // jecxz
        {"E2FE", m32, 0x1000, Flow::conditional, 0x1000},       // loop .
        {"C7F810000000", m64, 0x1000, Flow::conditional, 0x1016},  // xbegin
        {"C7C010000000", m64, 0x1000, Flow::fallthrough, {}},   // mov eax, 10h
        {"E8FB0F", m16, 0x1000, Flow::call, 0x1FFE},
        {"E90080", m16, 0x9000, Flow::jump, 0x1003},            // IP wraps at 64 KiB
        {"66E900000100", m16, 0x1000, Flow::jump, 0x11006},     // jmp rel32 in 16-bit code
        {"E9FBFFFFFF", m32, 0x0, Flow::jump, 0x0},
        {"EBF0", m32, 0x0, Flow::jump, 0xFFFFFFF2},             // EIP wraps at 4 GiB
        {"EB10", m64, 0xFFFFFFFFFFFFFFF0, Flow::jump, 0x2},
        {"66E90080", m32, 0x12349000, Flow::jump, 0x1004},      // operand size 16 cuts EIP to 16 bits
        {"C3", m64, 0, Flow::leave, {}},
        {"F3C3", m64, 0, Flow::leave, {}},
        {"C20800", m32, 0, Flow::leave, {}},
        {"CB", m64, 0, Flow::leave, {}},
        {"48CB", m64, 0, Flow::leave, {}},
        {"48CF", m64, 0, Flow::leave, {}},                      // iretq
        {"0F07", m64, 0, Flow::leave, {}},                      // sysret
        {"480F35", m64, 0, Flow::leave, {}},                    // sysexit
        {"0F34", m32, 0, Flow::leave, {}},                      // sysenter
        {"0F05", m64, 0, Flow::fallthrough, {}},                // syscall comes back
        {"F30F01CA", m64, 0, Flow::leave, {}},                  // eretu
        {"F20F01CA", m64, 0, Flow::leave, {}},                  // erets
        {"0F01CA", m64, 0, Flow::fallthrough, {}},              // clac
        {"F30F01EC", m64, 0, Flow::leave, {}},                  // uiret
        {"0F0B", m64, 0, Flow::stop, {}},                       // ud2
        {"0FB9C0", m64, 0, Flow::stop, {}},                     // ud1
        {"F4", m64, 0, Flow::fallthrough, {}},                  // hlt resumes behind itself
        {"CC", m64, 0, Flow::breakpoint, {}},
        {"CD80", m32, 0, Flow::fallthrough, {}},
        {"FFE0", m64, 0, Flow::indirect_jump, {}},
        {"41FFE3", m64, 0, Flow::indirect_jump, {}},            // jmp r11
        {"FF1500000000", m64, 0, Flow::indirect_call, {}},      // call [rip]
        {"FFD0", m32, 0, Flow::indirect_call, {}},
        {"FF2C24", m32, 0, Flow::indirect_jump, {}},            // jmp far [esp]
        {"FF1C24", m32, 0, Flow::indirect_call, {}},            // call far [esp]
        {"FF30", m32, 0, Flow::fallthrough, {}},                // push [eax]
        {"EA000010000800", m32, 0, Flow::indirect_jump, {}},    // jmp 8:100000h
        {"9A000010000800", m32, 0, Flow::indirect_call, {}},
        {"C5F877", m64, 0, Flow::fallthrough, {}},              // vzeroupper: 77 is no JA here
        {"C4E37D39C001", m64, 0, Flow::fallthrough, {}},        // vextracti128
        {"0F01C1", m64, 0, Flow::fallthrough, {}},              // vmcall
        {"488B04E8", m64, 0, Flow::fallthrough, {}},            // a SIB byte that looks like CALL
    };
    for (const Row& row : rows) {
        const auto bytes = parse_hex(row.bytes);
        REQUIRE(bytes);
        INFO(row.bytes << " in mode " << to_string(row.mode));
        const scan::ControlFlow flow = scan::control_flow(*bytes, row.mode, {row.address});
        CHECK(flow.kind == row.kind);
        REQUIRE(flow.target.has_value() == row.target.has_value());
        if (row.target) CHECK(flow.target->value == *row.target);
    }
}

TEST_CASE("control flow: displacements that may await a relocation are shown as encoded") {
    const auto call = parse_hex("E8FCFFFFFF");  // i386 REL: addend -4
    const scan::ControlFlow flow = scan::control_flow(*call, Mode::protected32, {0});
    CHECK(flow.displacement == -4);
    CHECK(flow.displacement_bytes == 4);
    const auto jump = parse_hex("EB80");
    CHECK(scan::control_flow(*jump, Mode::long64, {0}).displacement == -128);
}

TEST_CASE("control flow: cut short at any byte it falls through and has no target") {
    const auto whole = parse_hex("2E0F8400010000");
    for (std::size_t size = 0; size < whole->size(); ++size) {
        const scan::ControlFlow flow = scan::control_flow(Bytes(*whole).first(size), Mode::long64, {0x1000});
        CHECK(flow.kind == Flow::fallthrough);
        CHECK_FALSE(flow.target);
    }
}

}  // namespace
}  // namespace trapline
