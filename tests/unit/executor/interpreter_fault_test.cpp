// SPDX-License-Identifier: Apache-2.0
// What instructions refuse: encodings, segments, pages. Each refusal leaves processor and memory as they were.
#include "tests/unit/executor/interpreter_machine.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kUd = Vector::invalid_opcode, kPf = Vector::page_fault, kSsFault = Vector::stack_fault;

using Bytes = std::initializer_list<std::uint8_t>;

int step_of(Machine& machine, Bytes bytes) { return static_cast<int>(machine.run(bytes).step); }
constexpr int kDone = static_cast<int>(Step::done), kNotHere = static_cast<int>(Step::not_here);

}  // namespace

TEST_CASE("LOCK stands before what the manual lists, with a memory operand", "[interpreter]") {
    // SDM vol. 2, LOCK: ADD ADC AND BTC BTR BTS CMPXCHG CMPXCHG8B DEC INC NEG NOT OR SBB SUB XOR XADD XCHG. EBX is 8000h.
    const Bytes allowed[] = {{0xF0, 0x00, 0x03}, {0xF0, 0x11, 0x03}, {0xF0, 0x21, 0x03}, {0xF0, 0x29, 0x03}, {0xF0, 0x31, 0x03}, {0xF0, 0x09, 0x03},
                             {0xF0, 0x19, 0x03},
                             {0xF0, 0x80, 0x03, 1}, {0xF0, 0x83, 0x2B, 1}, {0xF0, 0xFE, 0x03}, {0xF0, 0xFF, 0x0B}, {0xF0, 0xF7, 0x13}, {0xF0, 0xF7, 0x1B},
                             {0xF0, 0x87, 0x03}, {0xF0, 0x0F, 0xC1, 0x03}, {0xF0, 0x0F, 0xB0, 0x03}, {0xF0, 0x0F, 0xC7, 0x0B}, {0xF0, 0x0F, 0xAB, 0x03},
                             {0xF0, 0x0F, 0xB3, 0x03}, {0xF0, 0x0F, 0xBB, 0x03}, {0xF0, 0x0F, 0xBA, 0x2B, 1}, {0xF0, 0x0F, 0xBA, 0x33, 1},
                             {0xF0, 0x0F, 0xBA, 0x3B, 1}};
    const Bytes refused[] = {{0xF0, 0x00, 0xC3}, {0xF0, 0x02, 0x03}, {0xF0, 0x38, 0x03}, {0xF0, 0x39, 0x03}, {0xF0, 0x80, 0x3B, 1}, {0xF0, 0x84, 0x03},
                             {0xF0, 0x88, 0x03},
                             {0xF0, 0x8B, 0x03}, {0xF0, 0xF7, 0x03, 1, 0, 0, 0}, {0xF0, 0xF7, 0x23}, {0xF0, 0xFF, 0x33}, {0xF0, 0xFF, 0x13},
                             {0xF0, 0x90}, {0xF0, 0xC1, 0x23, 1},
                             {0xF0, 0x87, 0xC3}, {0xF0, 0x0F, 0xA3, 0x03}, {0xF0, 0x0F, 0xBA, 0x23, 1}, {0xF0, 0x0F, 0xA4, 0x03, 1},
                             {0xF0, 0x0F, 0xAF, 0x03}, {0xF0, 0xA4},
                             {0xF0, 0xA3, 0, 0x80, 0, 0}, {0xF0, 0x0F, 0x22, 0xC0}, {0xF0, 0x0F, 0xAB, 0xC3}, {0xF0, 0xFA}, {0xF0, 0xCF},
                             {0xF0, 0x0F, 0x58, 0x03}};
    for (const Bytes& bytes : allowed) {
        INFO(hex(bytes));
        Machine machine;
        machine.vcpu.gpr[kRbx] = 0x8000;
        CHECK(step_of(machine, bytes) == kDone);
    }
    for (const Bytes& bytes : refused) {
        INFO(hex(bytes));
        Machine machine;
        machine.vcpu.gpr[kRbx] = 0x8000;
        check_refused(machine, bytes, kUd);
    }
}

TEST_CASE("encodings that the virtual CPU lacks raise #UD", "[interpreter]") {
    const Bytes rows[] = {
        {0x0F, 0x0B}, {0x0F, 0xB9, 0xC0}, {0x0F, 0xFF, 0xC0},                                                // UD2 UD1 UD0
        {0x0F, 0x05}, {0x0F, 0x07}, {0x0F, 0x34}, {0x0F, 0x35},                                              // SYSCALL SYSRET SYSENTER SYSEXIT
        {0xF3, 0x0F, 0xB8, 0xC0}, {0x0F, 0x38, 0x00, 0xC0}, {0x0F, 0x3A, 0x0F, 0xC0, 0},                     // POPCNT, SSSE3
        {0x0F, 0xC7, 0xF0}, {0x0F, 0xC7, 0xC8}, {0x0F, 0xAE, 0x23}, {0x0F, 0xAE, 0x3B},
        {0xF3, 0x0F, 0xAE, 0xC0},  // RDRAND, CMPXCHG8B of a register, XSAVE, CLFLUSH, RDFSBASE
        {0xC4, 0xE2, 0x71, 0x00, 0xC0}, {0xC5, 0xF8, 0x77}, {0x62, 0xF1, 0x7C, 0x48, 0x10, 0xC0}, {0x8F, 0xE8, 0x78},  // VEX, EVEX, XOP
        {0x0F, 0x01, 0xC1}, {0x0F, 0x01, 0xD0}, {0x0F, 0x01, 0xF9}, {0x0F, 0x01, 0xE8}, {0x0F, 0x01, 0xD9},  // VMCALL XGETBV RDTSCP /5 VMMCALL
        {0x0F, 0x20, 0xC8}, {0x0F, 0x22, 0xE8}, {0x0F, 0x20, 0xC0 + 5 * 8}, {0x0F, 0x24, 0xC0},              // CR1, CR5, MOV TR
        {0x8D, 0xC0}, {0x8E, 0xC8}, {0x8E, 0xF0}, {0x8C, 0xF8}, {0xC6, 0xC8, 0}, {0xFE, 0xD0}, {0xFF, 0xD8}, {0xFF, 0xF8}, {0x62, 0xC0}, {0x0F, 0xB2, 0xC0},
        {0x0F, 0xBA, 0xC0, 0}, {0x0F, 0xC3, 0xC0}, {0x0F, 0x00, 0xF0}, {0x0F, 0x0F, 0xC0, 0xBF}, {0x0F, 0xAA},
        {0xF3, 0x0F, 0x12, 0xC0}, {0xF2, 0x0F, 0xF0, 0x03}, {0x66, 0x0F, 0x7C, 0xC0}, {0x0F, 0x13, 0xC0}, {0x0F, 0x50, 0x03},
        {0x0F, 0x71, 0xC0, 1},  // SSE3, wrong operands
    };
    for (const Bytes& bytes : rows) {
        INFO(hex(bytes));
        Machine machine;
        machine.vcpu.gpr[kRbx] = 0x8000;
        machine.vcpu.cr4 |= cr4::osfxsr;
        check_refused(machine, bytes, kUd);
    }
}

TEST_CASE("vector instructions trap as CR0 and CR4 say, else the caller runs them", "[interpreter]") {
    struct Row {
        Bytes bytes;
        std::uint64_t cr0, cr4;
        std::optional<Vector> fault;
    };
    const std::uint64_t kFx = cr4::osfxsr;
    const Vector kNm = Vector::no_math;
    // SDM vol. 3, table 2-2 for x87; vol. 3, 14.1 and exception lists of vol. 2 for MMX and SSE.
    const Row rows[] = {
        {{0xD9, 0xE8}, 0, 0, {}}, {{0xD9, 0xE8}, cr0::em, 0, kNm}, {{0xD9, 0xE8}, cr0::ts, 0, kNm},
        {{0x9B}, 0, 0, {}}, {{0x9B}, cr0::ts, 0, {}}, {{0x9B}, cr0::mp, 0, {}}, {{0x9B}, cr0::ts | cr0::mp, 0, kNm}, {{0x9B}, cr0::em, 0, {}},
        {{0x0F, 0x6F, 0x03}, 0, 0, {}}, {{0x0F, 0x6F, 0x03}, cr0::em, 0, kUd}, {{0x0F, 0x6F, 0x03}, cr0::ts, 0, kNm}, {{0x0F, 0x77}, 0, 0, {}},
        {{0x0F, 0x58, 0xC1}, 0, kFx, {}}, {{0x0F, 0x58, 0xC1}, 0, 0, kUd}, {{0x0F, 0x58, 0xC1}, cr0::em, kFx, kUd}, {{0x0F, 0x58, 0xC1}, cr0::ts, kFx, kNm},
        {{0x66, 0x0F, 0x6F, 0x03}, 0, 0, kUd}, {{0x66, 0x0F, 0x6F, 0x03}, 0, kFx, {}}, {{0x0F, 0x2A, 0x03}, 0, 0, kUd},
        {{0x0F, 0xAE, 0x03}, 0, 0, {}}, {{0x0F, 0xAE, 0x0B}, cr0::ts, 0, kNm}, {{0x0F, 0xAE, 0x13}, 0, kFx, {}}, {{0x0F, 0xAE, 0x13}, 0, 0, kUd},
        {{0x0F, 0xAE, 0x1B}, cr0::ts, kFx, kNm},
    };
    for (const Row& row : rows) {
        INFO(hex(row.bytes) << " cr0 " << row.cr0 << " cr4 " << row.cr4);
        Machine machine;
        machine.vcpu.gpr[kRbx] = 0x8000;
        machine.vcpu.cr0 |= row.cr0, machine.vcpu.cr4 |= row.cr4;
        if (row.fault) {
            check_refused(machine, row.bytes, *row.fault);
        } else {
            CHECK(step_of(machine, row.bytes) == kNotHere);
            CHECK(machine.vcpu.rip == 0x700);
        }
    }
}

TEST_CASE("fifteen bytes are an instruction, sixteen are not", "[interpreter]") {
    Machine machine;
    machine.code({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90});
    const StepResult longest = machine.step();
    CHECK(static_cast<int>(longest.step) == kDone);
    CHECK(longest.length == 15);
    check_refused(machine, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}, kGp, 0);
    // The limit counts before the page that the sixteenth byte would be on.
    machine.vcpu.rip = 0xFF1;
    machine.memory.pages[1] = FlatMemory::Page::missing;
    check_refused(machine, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}, kGp, 0);
}

TEST_CASE("an instruction faults on the next page only where it reaches it", "[interpreter]") {
    const Bytes mov = {0xB8, 0x78, 0x56, 0x34, 0x12};
    for (unsigned inside = 1; inside <= 5; ++inside) {
        Machine machine;
        machine.memory.pages[8] = FlatMemory::Page::missing;
        machine.vcpu.rip = 0x8000 - inside;
        machine.code(mov);
        const StepResult result = machine.step();
        if (inside == 5) {
            CHECK(static_cast<int>(result.step) == kDone);
            CHECK(machine.reg(kRax) == 0x12345678);
        } else {
            CHECK(static_cast<int>(result.fault.vector) == static_cast<int>(kPf));
            CHECK(result.fault.address == 0x8000);
            CHECK(result.length == 0);
        }
    }
}

TEST_CASE("code ends at the limit of CS", "[interpreter]") {
    Machine machine;
    machine.vcpu.segments[kCs].limit = 0x703;
    check_refused(machine, {0xB8, 0x78, 0x56, 0x34, 0x12}, kGp, 0);
    CHECK(step_of(machine, {0x66, 0xB8, 0x78, 0x56}) == kDone);
    machine.vcpu.rip = 0x700;
    check_refused(machine, {0xEB, 0x10}, kGp, 0);
    check_refused(machine, {0xE8, 0x00, 0x10}, kGp, 0);
    check_refused(machine, {0xFF, 0xD0}, kGp, 0);  // call eax, which holds 5678h: nothing is pushed
}

TEST_CASE("accesses obey presence, type and limit of their segment", "[interpreter]") {
    struct Row {
        const char* text;
        std::uint8_t type;
        bool present, big;
        std::uint32_t limit, address;
        Bytes bytes;
        std::optional<Vector> fault;
    };
    // Through DS at EBX, and through SS at EBP. Types: SDM vol. 3, table 3-1.
    const Bytes load = {0x8B, 0x03}, store = {0x89, 0x03}, load_byte = {0x8A, 0x03}, load_ss = {0x8B, 0x45, 0x00}, store_ss = {0x89, 0x45, 0x00};
    const Row rows[] = {
        {"last doubleword", 3, true, true, 0x8FFF, 0x8FFC, load, {}},
        {"one byte beyond", 3, true, true, 0x8FFF, 0x8FFD, load, kGp},
        {"last byte", 3, true, true, 0x8FFF, 0x8FFF, load_byte, {}},
        {"behind the last byte", 3, true, true, 0x8FFF, 0x9000, load_byte, kGp},
        {"beyond in the stack", 3, true, true, 0x8FFF, 0x8FFD, load_ss, kSsFault},
        {"null", 3, false, true, 0xFFFFFFFF, 0x8000, load, kGp},
        {"read-only data can be read", 1, true, true, 0xFFFFFFFF, 0x8000, load, {}},
        {"but not written", 1, true, true, 0xFFFFFFFF, 0x8000, store, kGp},
        {"code cannot be written", 0xB, true, true, 0xFFFFFFFF, 0x8000, store, kGp},
        {"execute-only code cannot be read", 9, true, true, 0xFFFFFFFF, 0x8000, load, kGp},
        {"expand-down: above the limit", 7, true, true, 0x7FFF, 0x8000, store, {}},
        {"expand-down: at the limit", 7, true, true, 0x8000, 0x8000, store, kGp},
        {"expand-down: 16-bit ends at FFFFh", 7, true, false, 0x7FFF, 0xFFFC, store, {}},
        {"expand-down: and not beyond", 7, true, false, 0x7FFF, 0xFFFD, store, kGp},
        {"expand-down stack", 7, true, true, 0x8000, 0x8000, store_ss, kSsFault},
        {"expand-down with all of 4 GiB as limit is empty", 7, true, true, 0xFFFFFFFF, 0x8000, load, kGp},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        Machine machine;
        const bool is_stack = row.bytes.begin()[1] == 0x45;
        Segment& segment = machine.vcpu.segments[is_stack ? kSs : kDs];
        segment.type = row.type, segment.present = row.present, segment.big = row.big, segment.limit = row.limit;
        machine.vcpu.gpr[is_stack ? kRbp : kRbx] = row.address;
        if (row.fault) check_refused(machine, row.bytes, *row.fault, 0);
        else CHECK(step_of(machine, row.bytes) == kDone);
    }
}

TEST_CASE("what modifies memory asks for the write first", "[interpreter]") {
    const Bytes rows[] = {{0x01, 0x03}, {0xFF, 0x03}, {0xF7, 0x1B}, {0xD1, 0x23}, {0x87, 0x03}, {0x0F, 0xC1, 0x03}, {0x0F, 0xB1, 0x03},
                          {0x0F, 0xC7, 0x0B}, {0x0F, 0xAB, 0x03}, {0x0F, 0xA4, 0x03, 0x04}, {0x8F, 0x03}, {0x89, 0x03}, {0xC7, 0x03, 1, 0, 0, 0},
                          {0x0F, 0x94, 0x03}};
    for (const Bytes& bytes : rows)
        for (const std::uint8_t cpl : {0, 3}) {
            INFO(hex(bytes) << " CPL " << int{cpl});
            Machine machine(cpl);
            machine.memory.pages[0xC] = FlatMemory::Page::read_only;
            machine.vcpu.gpr[kRbx] = 0xC100;
            check_refused(machine, bytes, kPf, cpl == 3 ? 7 : 3);
            // Half of the operand on a page that is not there.
            if (bytes.begin()[1] == 0x94) continue;
            machine.memory.pages = {{0xC, FlatMemory::Page::missing}};
            machine.vcpu.gpr[kRbx] = 0xBFFE;
            check_refused(machine, bytes, kPf, cpl == 3 ? 6 : 2);
        }
}

TEST_CASE("stack instructions that fault leave the stack pointer", "[interpreter]") {
    const Bytes rows[] = {{0x50}, {0x60}, {0x68, 1, 0, 0, 0}, {0xE8, 0, 0, 0, 0}, {0xC8, 0, 0, 0}, {0xC8, 4, 0, 3}, {0x9C}, {0x06}, {0xFF, 0xD0}};
    for (const Bytes& bytes : rows) {
        INFO(hex(bytes));
        Machine machine;
        machine.memory.pages[0xA] = FlatMemory::Page::missing;
        machine.vcpu.gpr[kRsp] = 0xB000;
        check_refused(machine, bytes, kPf, 2);
        machine.vcpu.segments[kSs].limit = 0x7FFF;
        check_refused(machine, bytes, kSsFault, 0);
    }
    for (const Bytes& bytes : {Bytes{0x58}, Bytes{0x61}, Bytes{0xC3}, Bytes{0xC9}, Bytes{0x9D}, Bytes{0x07}}) {
        INFO(hex(bytes));
        Machine machine;
        machine.memory.pages[0xA] = FlatMemory::Page::missing;
        machine.vcpu.gpr[kRsp] = machine.vcpu.gpr[kRbp] = 0xAFFE;
        check_refused(machine, bytes, kPf, 0);
    }
    // PUSHA that faults in the middle writes nothing at all.
    Machine machine;
    machine.memory.pages[0x9] = FlatMemory::Page::missing;
    machine.vcpu.gpr[kRsp] = 0xA010;
    check_refused(machine, {0x60}, kPf, 2);
    // The final stack pointer of ENTER must be good for a write, though nothing is written there.
    check_refused(machine, {0xC8, 0x40, 0x00, 0x00}, kPf, 2);
}

TEST_CASE("alignment is checked at CPL 3 with CR0.AM and EFLAGS.AC", "[interpreter]") {
    for (const bool am : {false, true})
        for (const bool ac : {false, true})
            for (const std::uint8_t cpl : {0, 3}) {
                Machine machine(cpl);
                machine.vcpu.cr0 |= am ? cr0::am : 0;
                machine.vcpu.rflags |= ac ? flag::ac : 0;
                machine.vcpu.gpr[kRbx] = 0xB002;
                if (am && ac && cpl == 3) check_refused(machine, {0x8B, 0x03}, Vector::alignment_check, 0);
                else CHECK(step_of(machine, {0x8B, 0x03}) == kDone);
                CHECK(step_of(machine, {0x66, 0x8B, 0x03}) == kDone);
            }
}

TEST_CASE("BOUND compares signed and raises #BR", "[interpreter]") {
    Machine machine;
    machine.memory.put(0x8000, 0xFFFFFFFE, 4), machine.memory.put(0x8004, 5, 4);  // -2 to 5
    machine.vcpu.gpr[kRbx] = 0x8000;
    for (const std::uint32_t inside : {0xFFFFFFFEu, 0u, 5u}) {
        machine.vcpu.gpr[kRax] = inside;
        CHECK(step_of(machine, {0x62, 0x03}) == kDone);
    }
    for (const std::uint32_t outside : {0xFFFFFFFDu, 6u, 0x80000000u}) {
        machine.vcpu.gpr[kRax] = outside;
        check_refused(machine, {0x62, 0x03}, Vector::bound_range);
    }
}
