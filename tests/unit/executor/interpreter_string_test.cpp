// SPDX-License-Identifier: Apache-2.0
// String instructions and port accesses: repetition, restart, overlap, and what devices see.
#include "tests/unit/executor/interpreter_machine.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr int kDone = static_cast<int>(Step::done), kFault = static_cast<int>(Step::fault);

void set_string(Machine& machine, std::uint32_t from, std::uint32_t to, std::uint32_t count) {
    machine.vcpu.gpr[kRsi] = from, machine.vcpu.gpr[kRdi] = to, machine.vcpu.gpr[kRcx] = count;
}
void fill(Machine& machine, std::uint32_t at, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) machine.memory.bytes[at + i] = static_cast<std::uint8_t>(i * 7 + (i >> 8));
}

/// REP MOVS as SDM vol. 2 has it: element by element.
std::vector<std::uint8_t> moved(std::vector<std::uint8_t> bytes, std::uint32_t from, std::uint32_t to, std::uint32_t count, unsigned size, bool backward) {
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t step = backward ? 0u - i * size : i * size;
        for (unsigned byte = 0; byte < size; ++byte) {
            const std::uint8_t value = bytes[from + step + byte];
            bytes[0xFFFFF - byte] = value;  // a whole element is read before it is written
        }
        for (unsigned byte = 0; byte < size; ++byte) bytes[to + step + byte] = bytes[0xFFFFF - byte];
    }
    return bytes;
}

}  // namespace

TEST_CASE("REP MOVS moves as element by element, however far the strings overlap", "[interpreter]") {
    struct Row {
        std::uint32_t from, to, count;
        unsigned size;
        bool backward;
    };
    const Row rows[] = {
        {0x20000, 0x30000, 100, 1, false}, {0x20000, 0x30000, 1024, 4, false}, {0x20FFD, 0x30001, 500, 4, false}, {0x20001, 0x30FFF, 300, 2, false},
        {0x20000, 0x20001, 200, 1, false}, {0x20000, 0x20004, 200, 4, false}, {0x20000, 0x20003, 200, 4, false}, {0x20000, 0x20040, 200, 4, false},
        {0x20003, 0x20000, 200, 4, false}, {0x20FF0, 0x21010, 64, 1, false}, {0x20400, 0x30400, 200, 4, true}, {0x20400, 0x20404, 200, 4, true},
        {0x20000, 0x30000, 7, 4, false}, {0x20000, 0x30000, 0, 4, false},        {0x21FFC, 0x31FFC, 1024, 4, true},
        {0x22FFE, 0x32001, 500, 4, true}, {0x21001, 0x30FFE, 300, 2, true},      {0x22400, 0x223FC, 200, 4, true}, {0x22400, 0x223FD, 200, 4, true},
        {0x22400, 0x223C0, 200, 4, true}, {0x22400, 0x22403, 200, 4, true},      {0x22000, 0x21FFF, 200, 1, true}, {0x22002, 0x22FFF, 64, 1, true},
    };
    for (const Row& row : rows) {
        INFO(row.from << " to " << row.to << ", " << row.count << " of " << row.size << (row.backward ? " backward" : ""));
        Machine machine;
        fill(machine, 0x20000, 0x3000);
        set_string(machine, row.from, row.to, row.count);
        machine.vcpu.rflags |= row.backward ? flag::df : 0;
        if (row.size == 1) machine.code({0xF3, 0xA4});
        else if (row.size == 2) machine.code({0xF3, 0x66, 0xA5});
        else machine.code({0xF3, 0xA5});
        std::vector<std::uint8_t> expected = moved(machine.memory.bytes, row.from, row.to, row.count, row.size, row.backward);
        CHECK(static_cast<int>(machine.step().step) == kDone);
        for (unsigned i = 0; i < 4; ++i) expected[0xFFFFF - i] = machine.memory.bytes[0xFFFFF - i];
        CHECK((machine.memory.bytes == expected));
        const std::uint32_t distance = row.backward ? 0u - row.count * row.size : row.count * row.size;
        CHECK(machine.reg(kRsi) == row.from + distance);
        CHECK(machine.reg(kRdi) == row.to + distance);
        CHECK(machine.reg(kRcx) == 0);
    }
}

TEST_CASE("REP MOVS and STOS copy by pages", "[interpreter]") {
    Machine machine;
    set_string(machine, 0x20000, 0x40000, 4096);
    machine.code({0xF3, 0xA5});
    machine.memory.reads = machine.memory.writes = 0;
    machine.step();
    CHECK(machine.memory.writes == 4);
    CHECK(machine.memory.reads == 5);  // the instruction is the fifth
    machine.vcpu.rip = 0x700;
    set_string(machine, 0, 0x50001, 2000);
    machine.vcpu.gpr[kRax] = 0x44332211;
    machine.memory.writes = 0;
    machine.run({0xF3, 0xAB});
    CHECK(machine.memory.writes == 3);  // one doubleword stands across the page's end
    for (std::uint32_t i = 0; i < 2000; ++i) REQUIRE(machine.memory.get(0x50001 + 4 * i, 4) == 0x44332211);

    // Backward, as kernels that unpack themselves move what is packed out of the way.
    machine.vcpu.rip = 0x700;
    machine.vcpu.rflags |= flag::df;
    set_string(machine, 0x23FFC, 0x63FFC, 4096);
    machine.memory.writes = 0;
    machine.run({0xF3, 0xA5});
    CHECK(machine.memory.writes == 4);
    CHECK(machine.reg(kRsi) == 0x1FFFC);
    machine.vcpu.rip = 0x700;
    set_string(machine, 0, 0x71FFE, 1000);
    machine.memory.writes = 0;
    machine.run({0xF3, 0xAB});
    CHECK(machine.memory.writes == 2);
    for (std::uint32_t i = 0; i < 1000; ++i) REQUIRE(machine.memory.get(0x71FFE - 4 * i, 4) == 0x44332211);
    CHECK(machine.memory.get(0x72002, 4) == 0);
}

TEST_CASE("a string that goes backward wraps with its address size", "[interpreter]") {
    Machine machine;
    set_string(machine, 0x20010, 0xA, 8);  // DI 000Ah: behind the sixth word comes FFFEh
    machine.vcpu.rflags |= flag::df;
    machine.vcpu.gpr[kRax] = 0xBEEF;
    machine.run({0xF3, 0x67, 0x66, 0xAB});  // rep stosw with DI
    for (const std::uint32_t at : {0xAu, 8u, 6u, 4u, 2u, 0u, 0xFFFEu, 0xFFFCu}) CHECK(machine.memory.get(at, 2) == 0xBEEF);
    CHECK((machine.reg(kRdi) & 0xFFFF) == 0xFFFA);
}

TEST_CASE("a fault within a repetition leaves the whole iterations done", "[interpreter]") {
    for (const bool backward : {false, true}) {
        Machine machine;
        fill(machine, 0x20000, 0x2000);
        machine.memory.pages[backward ? 0x2F : 0x31] = FlatMemory::Page::read_only;
        set_string(machine, 0x20800, backward ? 0x30010 : 0x30FF0, 20);
        machine.vcpu.rflags |= backward ? flag::df : 0;
        const StepResult result = machine.run({0xF3, 0xA5});
        CHECK(static_cast<int>(result.step) == kFault);
        CHECK(result.fault.address == (backward ? 0x2FFFCu : 0x31000u));
        CHECK(machine.vcpu.rip == 0x700);
        const std::uint32_t done = backward ? 5 : 4;
        CHECK(machine.reg(kRcx) == 20 - done);
        CHECK(machine.reg(kRsi) == 0x20800 + (backward ? 0u - 4 * done : 4 * done));
        // The page comes, the instruction goes on.
        machine.memory.pages.clear();
        CHECK(static_cast<int>(machine.step().step) == kDone);
        CHECK(machine.reg(kRcx) == 0);
        CHECK(machine.memory.get(0x30FF0, 4) == (backward ? 0 : machine.memory.get(0x20800, 4)));
    }
}

TEST_CASE("a long repetition comes back after each slice", "[interpreter]") {
    Machine machine;
    machine.vcpu.rflags |= flag::rf;
    set_string(machine, 0x20000, 0x40000, 2 * kRepeatSlice + 5);
    machine.code({0xF3, 0xA4});
    CHECK(static_cast<int>(machine.step().step) == kDone);
    CHECK(machine.vcpu.rip == 0x700);
    CHECK(machine.reg(kRcx) == kRepeatSlice + 5);
    CHECK((machine.vcpu.rflags & flag::rf) != 0);  // the same instruction comes again
    machine.step();
    CHECK(machine.vcpu.rip == 0x700);
    machine.step();
    CHECK(machine.vcpu.rip == 0x702);
    CHECK(machine.reg(kRdi) == 0x40000 + 2 * kRepeatSlice + 5);
    CHECK((machine.vcpu.rflags & flag::rf) == 0);
    // A count that ends with the slice ends the instruction.
    machine.vcpu.rip = 0x700;
    machine.vcpu.gpr[kRcx] = kRepeatSlice;
    machine.step();
    CHECK(machine.vcpu.rip == 0x702);
}

TEST_CASE("comparisons stop at the first difference or match", "[interpreter]") {
    Machine machine;
    fill(machine, 0x20000, 64);
    fill(machine, 0x30000, 64);
    machine.memory.bytes[0x30009] ^= 1;
    set_string(machine, 0x20000, 0x30000, 64);
    machine.run({0xF3, 0xA6});  // repe cmpsb
    CHECK(machine.reg(kRcx) == 64 - 10);
    CHECK(machine.reg(kRsi) == 0x2000A);
    CHECK((machine.vcpu.rflags & flag::zf) == 0);
    set_string(machine, 0, 0x30000, 64);
    machine.vcpu.gpr[kRax] = machine.memory.bytes[0x30005];
    machine.run({0xF2, 0xAE});  // repne scasb
    CHECK(machine.reg(kRdi) == 0x30006);
    CHECK((machine.vcpu.rflags & flag::zf) != 0);
    // A count of 0 leaves the flags.
    const std::uint64_t flags = machine.vcpu.rflags;
    set_string(machine, 0x20000, 0x30000, 0);
    machine.run({0xF3, 0xA6});
    CHECK(machine.vcpu.rflags == flags);
}

TEST_CASE("16-bit addresses wrap SI, DI and CX alone", "[interpreter]") {
    Machine machine = Machine::real();
    for (Segment& segment : machine.vcpu.segments) segment.limit = 0xFFFF;
    set_string(machine, 0xAAAAFFF0, 0xBBBB0000, 0xCCCC0020);
    for (std::uint32_t i = 0; i < 0x20; ++i) machine.memory.bytes[0x20000 + ((0xFFF0 + i) & 0xFFFF)] = static_cast<std::uint8_t>(i + 1);
    machine.run({0xF3, 0xA4});
    CHECK(machine.reg(kRsi) == 0xAAAA0010);
    CHECK(machine.reg(kRdi) == 0xBBBB0020);
    CHECK(machine.reg(kRcx) == 0xCCCC0000);
    // DI ran over the source's second half before it was read: ES and DS are one segment.
    for (std::uint32_t i = 0; i < 0x10; ++i) CHECK(machine.memory.bytes[0x20000 + i] == i + 1);
    for (std::uint32_t i = 0; i < 0x10; ++i) CHECK(machine.memory.bytes[0x20010 + i] == i + 1);
}

TEST_CASE("the source has an override, the destination has none", "[interpreter]") {
    Machine machine;
    machine.vcpu.segments[kFs].base = 0x5000;
    machine.vcpu.segments[kEs].base = 0x6000;
    machine.memory.put(0x20000 + 0x5000, 0x12345678, 4);
    set_string(machine, 0x20000, 0x20000, 0);
    machine.run({0x64, 0xA5});
    CHECK(machine.memory.get(0x26000, 4) == 0x12345678);
}

TEST_CASE("ports are checked, read once and written once", "[interpreter]") {
    Machine machine;
    machine.run({0xE4, 0x60});
    machine.run({0x66, 0xE5, 0x61});
    CHECK(machine.reg(kRax) == 0x3345);
    machine.vcpu.gpr[kRdx] = 0x12340CFC;
    machine.run({0xEF});
    set_string(machine, 0x8000, 0x8100, 2);
    machine.memory.put(0x8000, 0xBBAA, 2);
    machine.run({0xF3, 0x6E});  // rep outsb
    set_string(machine, 0, 0x8100, 2);
    machine.run({0xF3, 0x6D});  // rep insd
    const std::vector<std::string> expected = {"in 96 1", "in 97 2", "out 3324 4 13125", "out 3324 1 170", "out 3324 1 187", "in 3324 4", "in 3324 4"};
    CHECK(machine.platform.log == expected);
    CHECK(machine.memory.get(0x8104, 4) == 0x11223347);
    // A destination that cannot be written is found before the device is asked.
    machine.platform.log.clear();
    machine.memory.pages[8] = FlatMemory::Page::read_only;
    set_string(machine, 0, 0x8100, 2);
    check_refused(machine, {0xF3, 0x6D}, Vector::page_fault, 3);
    CHECK(machine.platform.log.empty());
    Machine user(3);
    user.memory.put(World::kTss + 0x66, 0xFFFF, 2);  // no bitmap
    for (const std::initializer_list<std::uint8_t> bytes : {std::initializer_list<std::uint8_t>{0xEC}, {0xE6, 0x80}, {0x6C}, {0xF3, 0x6E}})
        check_refused(user, bytes, Vector::general_protection, 0);
    CHECK(user.platform.log.empty());
    user.vcpu.rflags |= flag::iopl;
    CHECK(static_cast<int>(user.run({0xEC}).step) == kDone);
}
