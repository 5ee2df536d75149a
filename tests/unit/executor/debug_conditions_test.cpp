// SPDX-License-Identifier: Apache-2.0
// Breakpoints of DR0 to DR3 against accesses: rows from SDM vol. 3, "Breakpoint Field Recognition" and table "Breakpoint Examples".
#include "executor/trap/debug_conditions.h"

#include <catch2/catch.hpp>

#include "executor/trap/watched_memory.h"
#include "tests/unit/executor/interpreter_machine.h"

namespace trapline::executor::test {
namespace {

constexpr std::uint64_t kExecute = 0, kWrite = 1, kPorts = 2, kReadWrite = 3;  // R/W
constexpr std::uint64_t kByte = 0, kWord = 1, kQuad = 2, kDword = 3;           // LEN

constexpr std::uint64_t enabled(unsigned number, std::uint64_t type, std::uint64_t length) {
    return std::uint64_t{1} << (2 * number) | type << (16 + 4 * number) | length << (18 + 4 * number);
}

Vcpu with(std::uint64_t dr7, std::uint64_t dr0, std::uint64_t dr1 = 0, std::uint64_t dr2 = 0, std::uint64_t dr3 = 0) {
    Vcpu vcpu;
    vcpu.dr = {dr0, dr1, dr2, dr3, 0, 0, 0xFFFF0FF0, dr7 | 0x400};
    return vcpu;
}

/// Runs one instruction under watch and gives the B bits.
std::uint32_t met_by(Machine& machine, std::initializer_list<std::uint8_t> bytes) {
    machine.code(bytes);
    WatchedMemory memory(machine.memory, DebugConditions(machine.vcpu));
    const StepResult result = interpret(machine.vcpu, memory, machine.platform);
    REQUIRE(static_cast<int>(result.step) == static_cast<int>(Step::done));
    return memory.met();
}

}  // namespace

TEST_CASE("the manual's examples of breakpoints", "[debug]") {
    // Table "Breakpoint Examples": DR0 read or write of 1, DR1 write of 1, DR2 read or write of 2, DR3 write of 4.
    const DebugConditions conditions(with(enabled(0, kReadWrite, kByte) | enabled(1, kWrite, kByte) | enabled(2, kReadWrite, kWord) | enabled(3, kWrite, kDword),
                                          0xA0001, 0xA0002, 0xB0002, 0xC0000));
    static constexpr struct {
        bool write;
        std::uint32_t address, size;
        bool traps;
    } kRows[] = {
        {false, 0xA0001, 1, true},  {true, 0xA0001, 1, true},   {false, 0xA0001, 2, true},  {true, 0xA0001, 2, true},  {true, 0xA0002, 1, true},
        {true, 0xA0002, 2, true},   {false, 0xB0001, 4, true},  {false, 0xB0002, 1, true},  {false, 0xB0002, 2, true}, {true, 0xB0002, 2, true},
        {true, 0xC0000, 4, true},   {true, 0xC0001, 2, true},   {true, 0xC0003, 1, true},
        {false, 0xA0000, 1, false}, {false, 0xA0002, 1, false}, {false, 0xA0003, 4, false}, {true, 0xB0000, 2, false}, {false, 0xC0000, 2, false},
        {true, 0xC0004, 4, false},
    };
    for (const auto& row : kRows) {
        CAPTURE(row.address, row.size, row.write);
        CHECK((conditions.at_access(row.write ? WatchedAccess::write : WatchedAccess::read, row.address, row.size) != 0) == row.traps);
    }
}

TEST_CASE("every breakpoint that is met has its bit", "[debug]") {
    const DebugConditions conditions(with(enabled(0, kWrite, kDword) | enabled(1, kReadWrite, kByte) | enabled(3, kWrite, kWord), 0x1000, 0x1003, 0x1000, 0x1004));
    CHECK(conditions.at_access(WatchedAccess::write, 0x1000, 4) == 0x3);
    CHECK(conditions.at_access(WatchedAccess::write, 0x1002, 4) == 0xB);
    CHECK(conditions.at_access(WatchedAccess::read, 0x1002, 4) == 0x2);
    CHECK(conditions.at_access(WatchedAccess::write, 0x1005, 1) == 0x8);
    CHECK(conditions.at_access(WatchedAccess::write, 0x1006, 1) == 0);
}

TEST_CASE("LEN aligns the range", "[debug]") {
    CHECK(DebugConditions(with(enabled(0, kWrite, kDword), 0x1003)).at_access(WatchedAccess::write, 0x1000, 1) == 1);
    CHECK(DebugConditions(with(enabled(0, kWrite, kDword), 0x1003)).at_access(WatchedAccess::write, 0x1004, 1) == 0);
    CHECK(DebugConditions(with(enabled(0, kWrite, kWord), 0x1003)).at_access(WatchedAccess::write, 0x1002, 1) == 1);
    CHECK(DebugConditions(with(enabled(0, kWrite, kQuad), 0x1003)).at_access(WatchedAccess::write, 0x1007, 1) == 1);
    CHECK(DebugConditions(with(enabled(0, kWrite, kQuad), 0x1003)).at_access(WatchedAccess::write, 0x1008, 1) == 0);
}

TEST_CASE("accesses wrap at 4 GiB", "[debug]") {
    const DebugConditions conditions(with(enabled(0, kWrite, kByte) | enabled(1, kWrite, kDword), 0, 0xFFFFFFFC));
    CHECK(conditions.at_access(WatchedAccess::write, 0xFFFFFFFE, 4) == 3);
    CHECK(conditions.at_access(WatchedAccess::write, 0xFFFFFFFF, 1) == 2);
    CHECK(conditions.at_access(WatchedAccess::write, 0xFFFFFFFA, 2) == 0);
    CHECK(conditions.at_access(WatchedAccess::write, 0, 1) == 1);
}

TEST_CASE("L or G enables, LE and GE do not", "[debug]") {
    Vcpu vcpu = with(kWrite << 16, 0x1000);
    CHECK_FALSE(vcpu.has_breakpoints());
    CHECK(DebugConditions(vcpu).at_access(WatchedAccess::write, 0x1000, 1) == 0);
    vcpu.dr[7] |= 0x300;
    CHECK_FALSE(vcpu.has_breakpoints());
    for (const std::uint64_t enable : {1, 2, 3}) {
        vcpu = with(enable | kWrite << 16, 0x1000);
        CHECK(vcpu.has_breakpoints());
        CHECK(DebugConditions(vcpu).at_access(WatchedAccess::write, 0x1000, 1) == 1);
    }
}

TEST_CASE("instruction breakpoints stand at first bytes", "[debug]") {
    const DebugConditions conditions(with(enabled(0, kExecute, kByte) | enabled(2, kExecute, kByte) | enabled(3, kWrite, kByte), 0x1000, 0x1000, 0x2001, 0x1000));
    CHECK(conditions.at_instruction(0x1000) == 1);
    CHECK(conditions.at_instruction(0x2001) == 4);
    CHECK(conditions.at_instruction(0x2000) == 0);
    CHECK(conditions.at_access(WatchedAccess::read, 0x2001, 1) == 0);
}

TEST_CASE("port breakpoints need CR4.DE", "[debug]") {
    Vcpu vcpu = with(enabled(0, kPorts, kByte) | enabled(1, kPorts, kDword), 0x80, 0x84);
    CHECK(DebugConditions(vcpu).at_access(WatchedAccess::port, 0x80, 1) == 0);
    vcpu.cr4 |= cr4::de;
    const DebugConditions conditions(vcpu);
    CHECK(conditions.at_access(WatchedAccess::port, 0x80, 1) == 1);
    CHECK(conditions.at_access(WatchedAccess::port, 0x87, 1) == 2);
    CHECK(conditions.at_access(WatchedAccess::port, 0x88, 1) == 0);
    CHECK(conditions.at_access(WatchedAccess::port, 0x7F, 2) == 1);
    CHECK(conditions.at_access(WatchedAccess::read, 0x80, 1) == 0);
    CHECK(conditions.at_access(WatchedAccess::write, 0x80, 1) == 0);
}

TEST_CASE("watched instructions meet breakpoints with their accesses", "[debug]") {
    Machine machine;
    machine.vcpu.dr[0] = 0x20000;
    machine.vcpu.gpr[kRsi] = 0x20000;
    machine.vcpu.dr[7] = enabled(0, kWrite, kDword);
    CHECK(met_by(machine, {0x8B, 0x06}) == 0);                    // mov eax, [esi]
    CHECK(met_by(machine, {0x89, 0x06}) == 1);                    // mov [esi], eax
    CHECK(met_by(machine, {0x89, 0x46, 0xFE}) == 1);              // mov [esi - 2], eax
    CHECK(met_by(machine, {0x89, 0x46, 0x04}) == 0);              // mov [esi + 4], eax
    CHECK(met_by(machine, {0xFF, 0x06}) == 1);                    // inc dword ptr [esi]
    machine.vcpu.dr[7] = enabled(0, kReadWrite, kDword);
    CHECK(met_by(machine, {0x8B, 0x06}) == 1);
    CHECK(met_by(machine, {0x8D, 0x06}) == 0);                    // lea eax, [esi]
    CHECK(met_by(machine, {0x90}) == 0);
    // The watched bytes hold the instruction itself: fetching is no access.
    machine.vcpu.dr[0] = machine.vcpu.rip;
    CHECK(met_by(machine, {0x90}) == 0);
    CHECK(machine.memory.task_switches == 0);
}

TEST_CASE("an access that faults meets nothing", "[debug]") {
    FlatMemory memory;
    memory.pages[0x20] = FlatMemory::Page::missing;
    const Vcpu vcpu = with(enabled(0, kReadWrite, kDword), 0x20000);
    WatchedMemory watched(memory, DebugConditions(vcpu));
    std::uint32_t value = 0;
    CHECK(watched.read(0x20000, &value, 4, Privilege::supervisor).has_value());
    CHECK(watched.write(0x20000, &value, 4, Privilege::supervisor).has_value());
    CHECK(watched.met() == 0);
    memory.pages.clear();
    CHECK_FALSE(watched.check_write(0x20000, 4, Privilege::supervisor).has_value());
    CHECK_FALSE(watched.fetch(0x20000, &value, 4, Privilege::supervisor).has_value());
    CHECK(watched.met() == 0);
    CHECK_FALSE(watched.read(0x20000, &value, 4, Privilege::supervisor).has_value());
    CHECK(watched.met() == 1);
}

TEST_CASE("a repetition stops behind the iteration that a breakpoint watches", "[debug]") {
    Machine machine;
    machine.vcpu.dr[0] = 0x30008;
    machine.vcpu.dr[7] = enabled(0, kWrite, kDword);
    machine.vcpu.gpr[kRdi] = 0x30000;
    machine.vcpu.gpr[kRcx] = 4;
    machine.code({0xF3, 0xAB});  // rep stosd
    for (unsigned left = 3; left != 0; --left) {
        WatchedMemory memory(machine.memory, DebugConditions(machine.vcpu));
        interpret(machine.vcpu, memory, machine.platform);
        CHECK(machine.reg(kRcx) == left);
        CHECK(memory.met() == (left == 1 ? 1u : 0u));
        // Between iterations the instruction is still the same: flags are pushed with RF (SDM vol. 3, "RF flag").
        CHECK(machine.vcpu.rip == 0x700);
        CHECK((machine.vcpu.rflags & flag::rf) != 0);
    }
    machine.step();
    CHECK(machine.vcpu.rip == 0x702);
    CHECK((machine.vcpu.rflags & flag::rf) == 0);
}

}  // namespace trapline::executor::test
