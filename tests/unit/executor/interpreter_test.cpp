// SPDX-License-Identifier: Apache-2.0
// What integer instructions do, row by row: values worked out from the descriptions and examples of SDM vol. 2. Random
// instructions are the oracle's (tests/oracle/interpreter_unicorn.cpp).
#include "tests/unit/executor/interpreter_machine.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr std::uint64_t kC = flag::cf, kP = flag::pf, kA = flag::af, kZ = flag::zf, kS = flag::sf, kO = flag::of;

/// Registers EAX, EBX, ECX, EDX and the doubleword at 0x8000, before and after; arithmetic flags before and after.
struct Row {
    std::initializer_list<std::uint8_t> bytes;
    const char* text;
    std::array<std::uint32_t, 5> before, after;
    std::uint64_t flags_before, flags_after;
    std::uint64_t undefined = 0;
};

const Row kRows[] = {
    {{0x01, 0xD8}, "add eax,ebx: carry out of all bits", {0xFFFFFFFF, 1}, {0, 1}, 0, kC | kP | kA | kZ},
    {{0x01, 0xD8}, "add eax,ebx: signed overflow", {0x7FFFFFFF, 1}, {0x80000000, 1}, 0, kP | kA | kS | kO},
    {{0x00, 0xE0}, "add al,ah", {0x8080}, {0x8000}, 0, kC | kP | kZ | kO},
    {{0x66, 0x05, 0xFF, 0x7F}, "add ax,7FFFh keeps the upper half", {0xAAAA0001}, {0xAAAA8000}, 0, kP | kA | kS | kO},
    {{0x11, 0xD8}, "adc eax,ebx with carry in and out", {0xFFFFFFFF, 0xFFFFFFFF}, {0xFFFFFFFF, 0xFFFFFFFF}, kC, kC | kP | kA | kS},
    {{0x19, 0xD8}, "sbb eax,ebx: 0 - FFFFFFFF - 1", {0, 0xFFFFFFFF}, {0, 0xFFFFFFFF}, kC, kC | kP | kA | kZ},
    {{0x29, 0xD8}, "sub eax,ebx: 80000000 - 1", {0x80000000, 1}, {0x7FFFFFFF, 1}, 0, kP | kA | kO},
    {{0x39, 0xD8}, "cmp eax,ebx writes nothing", {1, 2}, {1, 2}, 0, kC | kP | kA | kS},
    {{0x83, 0xC8, 0xFF}, "or eax,-1 extends the sign", {0}, {0xFFFFFFFF}, kC | kO, kP | kS, kA},
    {{0x31, 0xC0}, "xor eax,eax", {0x1234}, {0}, kC | kO | kS, kP | kZ, kA},
    {{0x40}, "inc eax keeps CF", {0xFFFFFFFF}, {0}, kC, kC | kP | kA | kZ},
    {{0x48}, "dec eax: overflow", {0x80000000}, {0x7FFFFFFF}, 0, kP | kA | kO},
    {{0xF7, 0xD8}, "neg eax of the least number", {0x80000000}, {0x80000000}, 0, kC | kP | kS | kO},
    {{0xF7, 0xD0}, "not eax touches no flag", {0x0F0F0F0F}, {0xF0F0F0F0}, kC | kZ, kC | kZ},
    {{0xF7, 0xE3}, "mul ebx", {0x80000000, 4}, {0, 4, 0, 2}, 0, kC | kO, kS | kZ | kA | kP},
    {{0xF6, 0xE3}, "mul bl", {0x10, 0x0F}, {0xF0, 0x0F}, kC | kO, 0, kS | kZ | kA | kP},
    {{0xF7, 0xEB}, "imul ebx: -2 * 3", {0xFFFFFFFE, 3}, {0xFFFFFFFA, 3, 0, 0xFFFFFFFF}, kC | kO, 0, kS | kZ | kA | kP},
    {{0x6B, 0xC3, 0x80}, "imul eax,ebx,-128", {0, 2}, {0xFFFFFF00, 2}, kC | kO, 0, kS | kZ | kA | kP},
    {{0xF7, 0xF3}, "div ebx", {7, 2, 0, 1}, {0x80000003, 2, 0, 1}, 0, 0, flag::arithmetic},
    {{0xF7, 0xFB}, "idiv ebx: -7 / 2 cuts toward zero", {0xFFFFFFF9, 2, 0, 0xFFFFFFFF}, {0xFFFFFFFD, 2, 0, 0xFFFFFFFF}, 0, 0, flag::arithmetic},
    {{0xC1, 0xE0, 0x01}, "shl eax,1", {0xC0000000}, {0x80000000}, 0, kC | kP | kS, kA},
    {{0xC1, 0xE0, 0x20}, "shl eax,32: a count of 0 changes nothing", {5}, {5}, kC | kO, kC | kO},
    {{0xD1, 0xF8}, "sar eax,1", {0x80000001}, {0xC0000000}, 0, kC | kP | kS, kA},
    {{0xD1, 0xE8}, "shr eax,1: OF is the old sign", {0x80000001}, {0x40000000}, 0, kC | kP | kO, kA},
    {{0xD0, 0xD0}, "rcl al,1", {0x80}, {0x01}, kC, kC | kO},
    {{0xC0, 0xD8, 0x09}, "rcr al,9: nine bits turn round once", {0x5A}, {0x5A}, kC, kC, kO},
    {{0xC0, 0xC0, 0x08}, "rol al,8: CF is bit 0", {0x81}, {0x81}, 0, kC, kO},
    {{0x0F, 0xA4, 0xD8, 0x08}, "shld eax,ebx,8", {0x12345678, 0x9ABCDEF0}, {0x3456789A, 0x9ABCDEF0}, kC, kP, kA | kO},
    {{0x0F, 0xAC, 0xD8, 0x08}, "shrd eax,ebx,8", {0x12345678, 0x9ABCDEF0}, {0xF0123456, 0x9ABCDEF0}, kC, kP | kS, kA | kO},
    {{0x0F, 0xBC, 0xC3}, "bsf eax,ebx", {0, 0x00500000}, {20, 0x00500000}, kZ, 0, flag::arithmetic & ~kZ},
    {{0x0F, 0xBD, 0xC3}, "bsr eax,ebx", {0, 0x00500000}, {22, 0x00500000}, kZ, 0, flag::arithmetic & ~kZ},
    {{0xF3, 0x0F, 0xBD, 0xC3}, "lzcnt is bsr here", {0, 0x00500000}, {22, 0x00500000}, kZ, 0, flag::arithmetic & ~kZ},
    {{0x0F, 0xAB, 0xD8}, "bts eax,ebx: number modulo 32", {0, 33}, {2, 33}, kC, 0, kO | kS | kA | kP},
    {{0x0F, 0xC8}, "bswap eax", {0x12345678}, {0x78563412}, 0, 0},
    {{0x0F, 0xC1, 0xD8}, "xadd eax,ebx", {2, 3}, {5, 2}, 0, kP},
    {{0x0F, 0xC1, 0xC0}, "xadd eax,eax", {2}, {4}, 0, 0},
    {{0x0F, 0xB1, 0xCB}, "cmpxchg ebx,ecx: equal", {7, 7, 9}, {7, 9, 9}, 0, kP | kZ},
    {{0x0F, 0xB1, 0xCB}, "cmpxchg ebx,ecx: not equal", {6, 7, 9}, {7, 7, 9}, 0, kC | kP | kA | kS},
    {{0xF0, 0x0F, 0xC7, 0x0D, 0x00, 0x80, 0x00, 0x00}, "cmpxchg8b: not equal", {1, 0, 0, 5, 3}, {3, 0, 0, 0, 3}, kZ, 0},
    {{0x27}, "daa: 79h + 35h = AEh (SDM's example)", {0xAE}, {0x14}, kS | kO, kC | kP | kA, kO},
    {{0x2F}, "das: 35h - 47h = EEh (SDM's example)", {0xEE}, {0x88}, kC | kA | kS, kC | kP | kA | kS, kO},
    {{0x37}, "aaa", {0x000B}, {0x0101}, 0, kC | kA, kO | kS | kZ | kP},
    {{0x3F}, "aas", {0x02FF}, {0x0109}, kA, kC | kA, kO | kS | kZ | kP},
    {{0xD4, 0x0A}, "aam", {0x3F}, {0x0603}, 0, kP, kO | kA | kC},
    {{0xD5, 0x0A}, "aad", {0x0603}, {0x3F}, 0, kP, kO | kA | kC},
    {{0xD6}, "salc", {0x1200}, {0x12FF}, kC, kC},
    {{0x98}, "cwde", {0x8000}, {0xFFFF8000}, 0, 0},
    {{0x66, 0x98}, "cbw", {0x12340080}, {0x1234FF80}, 0, 0},
    {{0x99}, "cdq", {0x80000000}, {0x80000000, 0, 0, 0xFFFFFFFF}, 0, 0},
    {{0x0F, 0xB6, 0xC7}, "movzx eax,bh", {0xFFFFFFFF, 0x8900}, {0x89, 0x8900}, 0, 0},
    {{0x66, 0x0F, 0xBE, 0xC3}, "movsx ax,bl", {0x11111111, 0x89}, {0x1111FF89, 0x89}, 0, 0},
    {{0x0F, 0x44, 0xC3}, "cmove eax,ebx", {1, 2}, {2, 2}, kZ, kZ},
    {{0x0F, 0x4F, 0xC3}, "cmovg eax,ebx: not when SF differs from OF", {1, 2}, {1, 2}, kS, kS},
    {{0x0F, 0x9C, 0xC0}, "setl al", {0xFF}, {1}, kO, kO},
    {{0x9E}, "sahf", {0xFF00}, {0xFF00}, kO, kC | kP | kA | kZ | kS | kO},
    {{0x9F}, "lahf: bit 1 is set, 3 and 5 are not", {0}, {0xD700}, kC | kP | kA | kZ | kS, kC | kP | kA | kZ | kS},
    {{0x86, 0x1D, 0x00, 0x80, 0x00, 0x00}, "xchg [8000h],bl", {0, 0x55, 0, 0, 0x11223344}, {0, 0x44, 0, 0, 0x11223355}, 0, 0},
    {{0x0F, 0xBB, 0x1D, 0xFC, 0x7F, 0x00, 0x00}, "btc [7FFCh],ebx: bit 32 is the next doubleword's", {0, 32, 0, 0, 1},
    {0, 32, 0, 0, 0}, 0, kC, kO | kS | kA | kP},
    {{0x0F, 0xA3, 0x1D, 0x04, 0x80, 0x00, 0x00}, "bt [8004h],ebx: a negative number reaches back", {0, 0xFFFFFFFF, 0, 0, 0x80000000},
    {0, 0xFFFFFFFF, 0, 0, 0x80000000}, 0, kC, kO | kS | kA | kP},
    {{0x0F, 0xC3, 0x1D, 0x00, 0x80, 0x00, 0x00}, "movnti [8000h],ebx", {0, 7}, {0, 7, 0, 0, 7}, 0, 0},
    {{0x8D, 0x44, 0x8B, 0xFF}, "lea eax,[ebx+ecx*4-1]", {0, 0x100, 3}, {0x10B, 0x100, 3}, 0, 0},
    {{0x67, 0x8D, 0x47, 0xFF}, "lea eax,[bx-1]: 16-bit addresses wrap", {0, 0xFFFF0000}, {0xFFFF, 0xFFFF0000}, 0, 0},
    {{0xF3, 0x0F, 0x1E, 0xFB}, "endbr32", {1}, {1}, kC, kC},
    {{0x0F, 0x1F, 0x84, 0x00, 0, 0, 0, 0}, "nop [eax+eax] reads nothing", {0xFFFFFFF0}, {0xFFFFFFF0}, kC, kC},
    {{0xF3, 0x90}, "pause", {1}, {1}, kC, kC},
    {{0x0F, 0xAE, 0xF0}, "mfence", {1}, {1}, kC, kC},
};

constexpr unsigned kOrder[4] = {kRax, kRbx, kRcx, kRdx};

}  // namespace

TEST_CASE("integer instructions give the manual's results and flags", "[interpreter]") {
    for (const Row& row : kRows) {
        INFO(row.text);
        Machine machine;
        for (unsigned i = 0; i < 4; ++i) machine.vcpu.gpr[kOrder[i]] = row.before[i];
        machine.memory.put(0x8000, row.before[4], 4);
        machine.vcpu.rflags |= row.flags_before;
        const StepResult result = machine.run(row.bytes);
        REQUIRE(static_cast<int>(result.step) == static_cast<int>(Step::done));
        CHECK(result.length == row.bytes.size());
        CHECK(machine.vcpu.rip == 0x700 + row.bytes.size());
        for (unsigned i = 0; i < 4; ++i) CHECK(machine.reg(kOrder[i]) == row.after[i]);
        CHECK(machine.memory.get(0x8000, 4) == row.after[4]);
        CHECK((machine.vcpu.rflags & ~row.undefined) == ((flag::fixed | row.flags_after) & ~row.undefined));
    }
}

TEST_CASE("each condition holds when its flags say so", "[interpreter]") {
    // SDM vol. 1, appendix B: for each even condition, flags that make it true and flags that do not.
    const std::pair<std::uint64_t, std::uint64_t> flags[8] = {{kO, kC}, {kC, kZ}, {kZ, kC}, {kZ, kS}, {kS, kO}, {kP, kS}, {kS, kS | kO}, {kZ, kS | kO}};
    for (unsigned code = 0; code < 16; ++code)
        for (const bool holds : {false, true}) {
            Machine machine;
            machine.vcpu.rflags |= holds ? flags[code / 2].first : flags[code / 2].second;
            machine.run({static_cast<std::uint8_t>(0x70 + code), 0x10});
            CHECK(machine.vcpu.rip == (holds != (code % 2 == 1) ? 0x712u : 0x702u));
        }
}

TEST_CASE("divisions that do not fit raise #DE", "[interpreter]") {
    struct Division {
        std::initializer_list<std::uint8_t> bytes;
        std::uint32_t eax, edx, ebx;
    };
    const Division rows[] = {{{0xF7, 0xF3}, 1, 0, 0}, {{0xF7, 0xF3}, 0, 1, 1}, {{0xF6, 0xF3}, 0x1000, 0, 0x10},
                             {{0xF7, 0xFB}, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF},
                             {{0xF7, 0xFB}, 0, 0x80000000, 0xFFFFFFFF}, {{0xF6, 0xFB}, 0x80, 0, 1}, {{0xD4, 0x00}, 5, 0, 0}};
    for (const Division& row : rows) {
        INFO(hex(row.bytes));
        Machine machine;
        machine.vcpu.gpr[kRax] = row.eax, machine.vcpu.gpr[kRdx] = row.edx, machine.vcpu.gpr[kRbx] = row.ebx;
        check_refused(machine, row.bytes, Vector::divide_error);
    }
    Machine machine;
    machine.vcpu.gpr[kRax] = 0xFF80, machine.vcpu.gpr[kRbx] = 1;  // -128 / 1 fits
    CHECK(static_cast<int>(machine.run({0xF6, 0xFB}).step) == static_cast<int>(Step::done));
    CHECK(machine.reg(kRax) == 0x80);
}

TEST_CASE("pushes and pops use SP where SS is a 16-bit segment", "[interpreter]") {
    Machine machine;
    machine.vcpu.segments[kSs] = machine.segment(World::kStack16);
    machine.vcpu.gpr[kRsp] = 0xABCD0002;
    machine.vcpu.gpr[kRax] = 0x11223344;
    machine.run({0x66, 0x50});  // push ax
    machine.run({0x50});        // push eax: wraps to the segment's end
    CHECK(machine.reg(kRsp) == 0xABCDFFFC);
    CHECK(machine.memory.get(0x10000, 2) == 0x3344);
    CHECK(machine.memory.get(0x1FFFC, 4) == 0x11223344);
    machine.run({0x5B});  // pop ebx
    CHECK(machine.reg(kRsp) == 0xABCD0000);
    CHECK(machine.reg(kRbx) == 0x11223344);
}

TEST_CASE("the stack pointer as an operand of the stack", "[interpreter]") {
    Machine machine;
    machine.run({0x54});  // push esp pushes the value before
    CHECK(machine.top(0) == World::kStack0);
    machine.memory.put(World::kStack0 - 4, 0x7777, 4);
    machine.run({0x5C});  // pop esp
    CHECK(machine.reg(kRsp) == 0x7777);
    machine.vcpu.gpr[kRsp] = 0x8000;
    machine.memory.put(0x8000, 0x1234, 4);
    machine.run({0x8F, 0x04, 0x24});  // pop dword [esp]: the address is the one after the increment
    CHECK(machine.reg(kRsp) == 0x8004);
    CHECK(machine.memory.get(0x8004, 4) == 0x1234);
    machine.run({0xFF, 0x34, 0x24});  // push dword [esp]
    CHECK(machine.memory.get(0x8000, 4) == 0x1234);
}

TEST_CASE("PUSHA, POPA, ENTER and LEAVE build what they take down", "[interpreter]") {
    Machine machine;
    for (unsigned i = 0; i < 8; ++i)
        if (i != kRsp) machine.vcpu.gpr[i] = 0x100 + i;
    const auto before = machine.vcpu.gpr;
    machine.run({0x60});
    CHECK(machine.top(7) == 0x100);          // EAX first
    CHECK(machine.top(3) == World::kStack0);  // ESP as it was
    CHECK(machine.top(0) == 0x107);          // EDI last
    machine.run({0x61});
    CHECK((machine.vcpu.gpr == before));
    machine.vcpu.gpr[kRbp] = 0x8100;
    machine.memory.put(0x80FC, 0xAAAA, 4);
    machine.run({0xC8, 0x10, 0x00, 0x02});  // enter 16,2
    CHECK(machine.memory.get(World::kStack0 - 4, 4) == 0x8100);
    CHECK(machine.memory.get(World::kStack0 - 8, 4) == 0xAAAA);
    CHECK(machine.memory.get(World::kStack0 - 12, 4) == World::kStack0 - 4);
    CHECK(machine.reg(kRbp) == World::kStack0 - 4);
    CHECK(machine.reg(kRsp) == World::kStack0 - 12 - 16);
    machine.run({0xC9});
    CHECK(machine.reg(kRbp) == 0x8100);
    CHECK(machine.reg(kRsp) == World::kStack0);
}

TEST_CASE("calls and returns, near and far", "[interpreter]") {
    Machine machine;
    machine.run({0xE8, 0xFB, 0x00, 0x00, 0x00});  // call 800h
    CHECK(machine.vcpu.rip == 0x800);
    CHECK(machine.top(0) == 0x705);
    machine.run({0xC2, 0x08, 0x00});  // ret 8
    CHECK(machine.vcpu.rip == 0x705);
    CHECK(machine.reg(kRsp) == World::kStack0 + 8);
    machine.vcpu.gpr[kRsp] = World::kStack0;
    machine.run({0x9A, 0x00, 0x09, 0x00, 0x00, World::kConforming0, 0x00});  // call 28h:900h
    CHECK(machine.vcpu.rip == 0x900);
    CHECK(machine.vcpu.cs().selector == World::kConforming0);
    CHECK(machine.top(0) == 0x70C);
    machine.run({0xCB});  // retf
    CHECK(machine.vcpu.rip == 0x70C);
    CHECK(machine.vcpu.cs().selector == World::kCode0);
    machine.vcpu.gpr[kRcx] = 1;
    machine.run({0xE2, 0x10});  // loop: ECX reaches 0
    CHECK(machine.vcpu.rip == 0x70E);
    CHECK(machine.reg(kRcx) == 0);
    machine.run({0x67, 0xE3, 0x10});  // jcxz
    CHECK(machine.vcpu.rip == 0x721);
    machine.run({0x66, 0xE9, 0x00, 0x80});  // jmp with a 16-bit operand cuts EIP
    CHECK(machine.vcpu.rip == 0x8725);
}

TEST_CASE("software interrupts come behind the instruction", "[interpreter]") {
    struct Interrupt {
        std::initializer_list<std::uint8_t> bytes;
        std::uint8_t vector;
    };
    for (const Interrupt& row : {Interrupt{{0xCD, 0x80}, 0x80}, Interrupt{{0xCC}, 3}, Interrupt{{0xCE}, 4}}) {
        Machine machine(3);
        machine.vcpu.rflags |= flag::of;
        const StepResult result = machine.run(row.bytes);
        CHECK(static_cast<int>(result.step) == static_cast<int>(Step::trap));
        CHECK(result.software_vector == row.vector);
        CHECK(machine.vcpu.rip == 0x700 + row.bytes.size());
    }
    Machine machine(3);
    CHECK(static_cast<int>(machine.run({0xCE}).step) == static_cast<int>(Step::done));  // into without overflow
    const StepResult icebp = machine.run({0xF1});
    CHECK(static_cast<int>(icebp.step) == static_cast<int>(Step::trap));
    CHECK_FALSE(icebp.software_vector.has_value());
    CHECK(static_cast<int>(icebp.fault.vector) == static_cast<int>(Vector::debug));
}

TEST_CASE("the interrupt shadow follows STI, MOV SS and POP SS, and RF ends with the instruction", "[interpreter]") {
    Machine machine;
    machine.vcpu.rflags |= flag::rf;
    machine.run({0xFB});
    CHECK(machine.vcpu.interrupt_shadow);
    CHECK((machine.vcpu.rflags & flag::rf) == 0);
    machine.run({0xFB});  // IF was set
    CHECK_FALSE(machine.vcpu.interrupt_shadow);
    machine.vcpu.gpr[kRax] = World::kData0;
    machine.run({0x8E, 0xD0});  // mov ss,ax
    CHECK(machine.vcpu.interrupt_shadow);
    machine.run({0x8E, 0xD8});  // mov ds,ax
    CHECK_FALSE(machine.vcpu.interrupt_shadow);
    machine.stack({World::kData0});
    machine.run({0x17});  // pop ss
    CHECK(machine.vcpu.interrupt_shadow);
    CHECK(machine.reg(kRsp) == World::kStack0);
    machine.memory.put(0x8000, 0x1000, 4), machine.memory.put(0x8004, World::kData0, 2);
    machine.run({0x0F, 0xB2, 0x25, 0x00, 0x80, 0x00, 0x00});  // lss esp,[8000h] needs none
    CHECK_FALSE(machine.vcpu.interrupt_shadow);
    CHECK(machine.reg(kRsp) == 0x1000);
}

TEST_CASE("real mode addresses with 16-bit forms and its own segments", "[interpreter]") {
    Machine machine = Machine::real();
    machine.vcpu.gpr[kRbx] = 0x10, machine.vcpu.gpr[kRsi] = 0x20, machine.vcpu.gpr[kRbp] = 0x40;
    machine.memory.put(0x20000 + 0x32, 0x1234, 2);
    machine.memory.put(0x30000 + 0x61, 0x5678, 2);
    machine.run({0x8B, 0x40, 0x02});  // mov ax,[bx+si+2]
    CHECK(machine.reg(kRax) == 0x1234);
    machine.run({0x8B, 0x42, 0x01});  // mov ax,[bp+si+1] is in SS
    CHECK(machine.reg(kRax) == 0x5678);
    machine.run({0xC5, 0x1E, 0x32, 0x00});  // lds bx,[32h]
    CHECK(machine.reg(kRbx) == 0x1234);
    CHECK(machine.vcpu.segments[kDs].selector == 0);
    machine.run({0xEA, 0x00, 0x01, 0x00, 0x20});  // jmp 2000h:100h
    CHECK(machine.vcpu.cs().base == 0x20000);
    CHECK(machine.vcpu.rip == 0x100);
    check_refused(machine, {0x0F, 0x00, 0xC0}, Vector::invalid_opcode);  // sldt
    check_refused(machine, {0x63, 0xC0}, Vector::invalid_opcode);        // arpl
    check_refused(machine, {0x0F, 0x02, 0xC0}, Vector::invalid_opcode);  // lar
    check_refused(machine, {0xA1, 0xFF, 0xFF}, Vector::general_protection, 0);
}
