// SPDX-License-Identifier: Apache-2.0
// System instructions by mode and ring, and what each changes: expected values from SDM vol. 2 and vol. 3, 2.5 and 5.9.
#include "tests/unit/executor/interpreter_machine.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

using Bytes = std::initializer_list<std::uint8_t>;
constexpr Vector kGp = Vector::general_protection, kUd = Vector::invalid_opcode;
constexpr int kDone = static_cast<int>(Step::done);

int step_of(Machine& machine, Bytes bytes) { return static_cast<int>(machine.run(bytes).step); }

}  // namespace

TEST_CASE("privileged instructions raise #GP(0) above CPL 0", "[interpreter]") {
    const Bytes rows[] = {{0xF4}, {0x0F, 0x06}, {0x0F, 0x08}, {0x0F, 0x09}, {0x0F, 0x20, 0xC0}, {0x0F, 0x22, 0xD8}, {0x0F, 0x21, 0xC0},
                          {0x0F, 0x23, 0xF8}, {0x0F, 0x30},
                          {0x0F, 0x32}, {0x0F, 0x01, 0x13}, {0x0F, 0x01, 0x1B}, {0x0F, 0x01, 0xF0}, {0x0F, 0x01, 0x3B}, {0x0F, 0x33}, {0xFA}, {0xFB}};
    for (const Bytes& bytes : rows) {
        INFO(hex(bytes));
        for (const std::uint8_t cpl : {1, 3}) {
            Machine machine(cpl);
            check_refused(machine, bytes, kGp, 0);
        }
        Machine machine = Machine::v86(0);
        check_refused(machine, bytes, kGp, 0);
    }
    for (const Bytes& bytes : {Bytes{0x0F, 0x00, 0xD0}, Bytes{0x0F, 0x00, 0xD8}}) {  // lldt, ltr
        Machine machine(3), v86 = Machine::v86(3);
        check_refused(machine, bytes, kGp, 0);
        check_refused(v86, bytes, kUd);
    }
}

TEST_CASE("unprivileged ones read the system's state at CPL 3", "[interpreter]") {
    Machine machine(3);
    machine.vcpu.gdtr = {0x12345678, 0xABCD};
    machine.vcpu.gpr[kRbx] = 0x8000;
    machine.run({0x66, 0x0F, 0x01, 0x03});  // sgdt: 32 bits of base at either operand size
    CHECK(machine.memory.get(0x8000, 8) == 0x12345678ABCD);
    machine.vcpu.gdtr = {World::kGdt, 0xFF};
    machine.vcpu.gpr[kRax] = 0xFFFFFFFF;
    machine.run({0x0F, 0x00, 0xC0});  // sldt eax
    CHECK(machine.reg(kRax) == World::kLdtSelector);
    machine.vcpu.gpr[kRax] = 0xFFFFFFFF;
    machine.run({0x66, 0x0F, 0x00, 0xC8});  // str ax
    CHECK(machine.reg(kRax) == (0xFFFF0000 | World::kTssSelector));
    machine.vcpu.cr0 |= cr0::pg | cr0::ts;
    machine.run({0x0F, 0x01, 0xE0});  // smsw eax
    CHECK(machine.reg(kRax) == (cr0::pe | cr0::et | cr0::pg | cr0::ts));
    machine.memory.put(0x8000, 0xFFFFFFFF, 4);
    machine.run({0x0F, 0x01, 0x23});  // smsw [ebx]: 16 bits
    CHECK(machine.memory.get(0x8000, 4) == 0xFFFF0019);
    machine.vcpu.gpr[kRax] = World::kData3;
    machine.run({0x0F, 0x02, 0xC8});  // lar ecx,ax
    CHECK(machine.reg(kRcx) == 0x00CFF300);
    CHECK((machine.vcpu.rflags & flag::zf) != 0);
    machine.run({0x0F, 0x00, 0xE8});  // verw ax
    CHECK((machine.vcpu.rflags & flag::zf) != 0);
    machine.vcpu.gpr[kRax] = World::kData0;
    machine.vcpu.gpr[kRcx] = 7;
    machine.run({0x0F, 0x03, 0xC8});  // lsl of an inner segment: the register stays
    CHECK((machine.vcpu.rflags & flag::zf) == 0);
    CHECK(machine.reg(kRcx) == 7);
    machine.vcpu.gpr[kRax] = 0x10, machine.vcpu.gpr[kRcx] = 3;
    machine.run({0x63, 0xC8});  // arpl ax,cx
    CHECK(machine.reg(kRax) == 0x13);
    CHECK((machine.vcpu.rflags & flag::zf) != 0);
    machine.run({0x63, 0xC8});
    CHECK((machine.vcpu.rflags & flag::zf) == 0);
}

TEST_CASE("POPF changes what CPL and IOPL let it", "[interpreter]") {
    struct Row {
        std::uint8_t cpl, iopl;
        std::uint64_t before, after;  ///< with all ones popped, and flags 0 before
    };
    constexpr std::uint64_t kFree = flag::fixed | flag::arithmetic | flag::tf | flag::df | flag::nt | flag::ac | flag::id;
    const Row rows[] = {
        {0, 0, 0, kFree | flag::interrupt | flag::iopl}, {3, 0, 0, kFree}, {1, 0, 0, kFree}, {1, 1, 0, kFree | flag::interrupt | 1u << 12},
        {3, 3, 0, kFree | flag::interrupt | flag::iopl}, {3, 0, flag::interrupt, kFree | flag::interrupt},
    };
    for (const Row& row : rows) {
        INFO("CPL " << int{row.cpl} << " IOPL " << int{row.iopl});
        Machine machine(row.cpl);
        machine.vcpu.rflags |= row.before | std::uint64_t{row.iopl} << 12;
        machine.stack({0xFFFFFFFF});
        CHECK(step_of(machine, {0x9D}) == kDone);
        CHECK(machine.vcpu.rflags == row.after);
        machine.run({0x9C});
        CHECK(machine.top(0) == row.after);
        machine.run({0x66, 0x9D});  // 16 bits: AC and ID stay
        CHECK((machine.vcpu.rflags & (flag::ac | flag::id)) == (flag::ac | flag::id));
    }
    Machine machine;
    machine.vcpu.rflags |= flag::rf | flag::interrupt;
    machine.run({0x9C});
    CHECK(machine.top(0) == (flag::fixed | flag::interrupt));
}

TEST_CASE("virtual-8086 mode gives PUSHF, POPF, INT and IRET to the monitor below IOPL 3", "[interpreter]") {
    const Bytes sensitive[] = {{0x9C}, {0x9D}, {0xCD, 0x21}, {0xCD, 0x03}, {0xCF}, {0xFA}, {0xFB}};
    for (const Bytes& bytes : sensitive) {
        INFO(hex(bytes));
        Machine closed = Machine::v86(2), open = Machine::v86(3);
        check_refused(closed, bytes, kGp, 0);
        CHECK(static_cast<int>(open.run(bytes).step) != static_cast<int>(Step::fault));
    }
    Machine machine = Machine::v86(0);
    CHECK(static_cast<int>(machine.run({0xCC}).step) == static_cast<int>(Step::trap));  // INT3 is not sensitive
    machine = Machine::v86(3);
    machine.stack({0xFFFF}, 2);
    machine.run({0x9D});
    CHECK((machine.vcpu.rflags & (flag::vm | flag::iopl | flag::interrupt)) == (flag::vm | flag::iopl | flag::interrupt));
    machine.vcpu.gpr[kRax] = 0x4321;
    machine.run({0x8E, 0xD8});  // mov ds,ax
    CHECK(machine.vcpu.segments[kDs].base == 0x43210);
    check_refused(machine, {0x0F, 0x00, 0xC0}, kUd);
    check_refused(machine, {0x0F, 0x20, 0xC0}, kGp, 0);
}

TEST_CASE("control registers: reserved bits, impossible combinations, and who hears of it", "[interpreter]") {
    Machine machine;
    const auto load = [&](unsigned number, std::uint32_t value) {
        machine.vcpu.gpr[kRax] = value;
        return step_of(machine, {0x0F, 0x22, static_cast<std::uint8_t>(0xC0 + 8 * number)});
    };
    const auto refuse = [&](unsigned number, std::uint32_t value) {
        machine.vcpu.gpr[kRax] = value;
        check_refused(machine, {0x0F, 0x22, static_cast<std::uint8_t>(0xC0 + 8 * number)}, kGp, 0);
    };
    CHECK(load(0, 0x1FFFFFFF) == kDone);  // reserved bits of CR0 are dropped, ET stays set
    CHECK(machine.vcpu.cr0 == 0x0005003F);
    CHECK(load(0, 0x00000001) == kDone);
    CHECK(machine.vcpu.cr0 == 0x11);
    refuse(0, 0x80000000);  // PG without PE
    refuse(0, 0x20000001);  // NW without CD
    CHECK(load(4, cr4::pae | cr4::pge | cr4::osfxsr | cr4::osxmmexcpt | cr4::pse | cr4::tsd | cr4::pce) == kDone);
    for (const std::uint64_t absent : {cr4::vme, cr4::pvi, cr4::de, cr4::mce, std::uint64_t{1} << 11, std::uint64_t{1} << 13, std::uint64_t{1} << 20})
        refuse(4, static_cast<std::uint32_t>(absent));
    CHECK(load(3, 0x12345678) == kDone);
    CHECK(machine.vcpu.cr3 == 0x12345678);
    CHECK(load(2, 5) == kDone);
    CHECK(machine.vcpu.cr2 == 5);
    const std::vector<std::string> expected = {"cr0 was 17", "cr0 was 327743", "cr4 was 0", "cr3 was 0"};
    CHECK(machine.platform.log == expected);
    machine.run({0x0F, 0x20, 0x1B});  // mov ebx,cr3: mod counts as 3
    CHECK(machine.reg(kRbx) == 0x12345678);
    machine.vcpu.cr0 |= cr0::ts;
    machine.run({0x0F, 0x06});  // clts
    CHECK(machine.vcpu.cr0 == 0x11);
    machine.vcpu.gpr[kRax] = 0xFFFE;
    machine.run({0x0F, 0x01, 0xF0});  // lmsw: PE stays, bits above TS too
    CHECK(machine.vcpu.cr0 == 0x1F);
}

TEST_CASE("debug registers: fixed bits, aliases and DR7.GD", "[interpreter]") {
    Machine machine;
    machine.vcpu.gpr[kRax] = 0xFFFFFFFF;
    machine.run({0x0F, 0x23, 0xF0});  // mov dr6,eax
    CHECK(machine.vcpu.dr[6] == 0xFFFFEFFF);
    machine.vcpu.gpr[kRax] = 0;
    machine.run({0x0F, 0x23, 0xE0});  // mov dr4,eax is DR6
    CHECK(machine.vcpu.dr[6] == 0xFFFF0FF0);
    machine.vcpu.gpr[kRax] = 0xFFFFDFFF;
    machine.run({0x0F, 0x23, 0xF8});  // mov dr7,eax without GD
    CHECK(machine.vcpu.dr[7] == 0xFFFF07FF);
    machine.vcpu.cr4 |= cr4::de;
    check_refused(machine, {0x0F, 0x21, 0xE8}, kUd);  // DR5
    machine.vcpu.dr[7] |= 1u << 13;
    machine.code({0x0F, 0x21, 0xC0});
    const StepResult result = machine.step();
    CHECK(static_cast<int>(result.fault.vector) == static_cast<int>(Vector::debug));
    CHECK(machine.vcpu.dr[6] == 0xFFFF2FF0);
}

TEST_CASE("CPUID, RDTSC, MSRs, INVLPG and HLT ask the platform", "[interpreter]") {
    Machine machine;
    machine.vcpu.gpr[kRax] = 7, machine.vcpu.gpr[kRcx] = 3;
    machine.run({0x0F, 0xA2});
    CHECK(machine.reg(kRax) == 8);
    CHECK(machine.reg(kRbx) == 5);
    machine.run({0x0F, 0x31});
    CHECK(machine.reg(kRax) == 5);
    CHECK(machine.reg(kRdx) == 9);
    machine.vcpu.gpr[kRcx] = 0x10;
    machine.run({0x0F, 0x32});
    CHECK(machine.reg(kRax) == 0x55667788);
    CHECK(machine.reg(kRdx) == 0x11223344);
    machine.vcpu.gpr[kRax] = 1;
    machine.run({0x0F, 0x30});
    CHECK(machine.platform.registers[0x10] == 0x1122334400000001);
    machine.vcpu.gpr[kRcx] = 0x1B;
    check_refused(machine, {0x0F, 0x32}, kGp, 0);
    check_refused(machine, {0x0F, 0x30}, kGp, 0);
    machine.vcpu.gpr[kRbx] = 0xFFFFF000;
    machine.vcpu.segments[kFs].base = 0x2000;
    machine.run({0x64, 0x0F, 0x01, 0x3B});
    CHECK(machine.platform.log.back() == "invlpg 4096");
    CHECK(static_cast<int>(machine.run({0xF4}).step) == static_cast<int>(Step::halt));
    CHECK(machine.vcpu.halted);
    Machine user(3);
    CHECK(step_of(user, {0x0F, 0x31}) == kDone);
    user.vcpu.cr4 |= cr4::tsd;
    check_refused(user, {0x0F, 0x31}, kGp, 0);
}

TEST_CASE("LGDT and LIDT take 24 bits of base with 16-bit operands", "[interpreter]") {
    Machine machine;
    machine.memory.put(0x8000, 0x89ABCDEF1234, 8);
    machine.vcpu.gpr[kRbx] = 0x8000;
    machine.run({0x0F, 0x01, 0x1B});
    CHECK(machine.vcpu.idtr.base == 0x89ABCDEF);
    CHECK(machine.vcpu.idtr.limit == 0x1234);
    machine.run({0x66, 0x0F, 0x01, 0x13});
    CHECK(machine.vcpu.gdtr.base == 0xABCDEF);
}
