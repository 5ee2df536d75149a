// SPDX-License-Identifier: Apache-2.0
// The parts of the reference machine, with values from the manuals. tests/oracle/unicorn_machine.cpp holds it against Unicorn.
#include <catch2/catch.hpp>

#include "patch/proof/flags.h"
#include "patch/proof/machine.h"
#include "proof_windows.h"

namespace trapline::patch::proof {
namespace {

/// A machine that stands before `text`, and the instructions of it.
struct Bench {
    Bench(Mode mode, std::string_view text, bool deprivileged = false) : machine(test_layout(mode), 5, deprivileged) {
        const std::uint64_t at = mode == Mode::long64 ? kWindow64 : kWindow32;
        code.add(at, assemble_at(text, mode, at));
        machine.cpu.ip = at;
        machine.cpu.general[kRsp] = mode == Mode::long64 ? 0xFFFFC90000001000 : 0xC2000000;
        machine.set_guest_flags(kAlwaysOne);
    }
    Step step() { return machine.execute(code.at(machine.cpu.ip, machine.cpu.code)); }
    std::uint64_t general(unsigned number) const { return machine.cpu.general[number]; }
    std::uint64_t top(unsigned size) { return machine.load(general(kRsp), size); }
    Machine machine;
    Code code;
};

TEST_CASE("proof machine: memory wraps, compares and forgets") {
    SparseMemory one(3), two(3), other(4);
    CHECK(one.load(0x1000, 8) == two.load(0x1000, 8));
    CHECK(one.load(0x1000, 8) != other.load(0x1000, 8));
    CHECK(one.load(0x1003, 8) == (one.load(0x1000, 8) >> 24 | one.load(0x1008, 8) << 40));
    one.store(0xFFFFFFFFFFFFFFFD, 8, 0x1122334455667788);
    CHECK(one.load(0xFFFFFFFFFFFFFFFD, 3) == 0x667788);
    CHECK(one.load(0, 5) == 0x1122334455);
    CHECK(one.find_difference(two) == 0u);
    two.store(0, 5, 0x1122334455);
    CHECK(one.find_difference(two) == 0xFFFFFFFFFFFFFFFDu);
    two.store(0xFFFFFFFFFFFFFFFD, 3, 0x667788);
    CHECK_FALSE(one.find_difference(two));
    CHECK(one.digest() == two.digest());

    one.store(0x2000, 1, ~one.load(0x2000, 1));
    CHECK(one.digest() != two.digest());
    one.forget(0x2000, 1);
    two.forget(0x2000, 1);
    CHECK(one.digest() == two.digest());
    CHECK_FALSE(one.find_difference(two));
    one.store(0x2000, 1, 7);  // written again: it counts
    CHECK(one.find_difference(two) == 0x2000u);
    // A byte that has its first content again was never written.
    SparseMemory same(3);
    same.store(0x3000, 4, same.load(0x3000, 4));
    CHECK(same.digest() == SparseMemory(3).digest());
}

TEST_CASE("proof machine: PUSHF and POPF at CPL 0 and at CPL 3") {
    // SDM volume 2, POPF, table 4-16: CPL 0 writes IF and IOPL; CPL 3 with IOPL 0 keeps both and does not fault.
    const std::string text = "push 0x3202\npopfd\npushfd\n";
    Bench supervisor(Mode::protected32, text);
    for (int i = 0; i < 3; ++i) CHECK(supervisor.step() == Step::done);
    CHECK(supervisor.machine.cpu.flags == 0x3202);
    CHECK(supervisor.top(4) == 0x3202);
    Bench user(Mode::protected32, text, true);
    for (int i = 0; i < 3; ++i) CHECK(user.step() == Step::done);
    CHECK(user.machine.cpu.flags == 0x202);
    CHECK(user.top(4) == 0x202);

    // RF and VM are not shown; POPF clears RF, leaves VM, VIF and VIP, and takes AC and ID.
    Bench wide(Mode::long64, "pushfq\npush -1\npopfq\n");
    wide.machine.cpu.flags = kResume | kVirtual8086 | kAlwaysOne;
    wide.step();
    CHECK(wide.top(8) == kAlwaysOne);
    wide.step();
    wide.step();
    CHECK(wide.machine.cpu.flags == (0x247FD7 | kVirtual8086));

    // 16 bits: the upper half stays.
    Bench narrow(Mode::long64, ".byte 0x66, 0x68, 0xD5, 0x0E\n.byte 0x66\npopfq\n.byte 0x66\npushfq\n");
    narrow.machine.cpu.flags = kIdentification | kAlwaysOne;
    for (int i = 0; i < 3; ++i) CHECK(narrow.step() == Step::done);
    CHECK(narrow.machine.cpu.flags == (kIdentification | 0xED7));
    CHECK(narrow.top(2) == 0xED7);
    CHECK(narrow.general(kRsp) == 0xFFFFC90000000FFE);
}

TEST_CASE("proof machine: what faults for privilege at CPL 3 changes nothing") {
    for (const char* text : {"cli", "sti", "mov rax, cr0", "mov rax, cr8"}) {
        Bench bench(Mode::long64, text, true);
        const std::uint64_t before = bench.machine.digest();
        CHECK(bench.step() == Step::privileged);
        CHECK(bench.machine.digest() == before);
        CHECK(bench.machine.cpu.ip == kWindow64);
        CHECK(Bench(Mode::long64, text).step() == Step::done);
    }
}

TEST_CASE("proof machine: system registers in all sizes") {
    Bench bench(Mode::long64, "smsw rax\nsmsw ecx\nsmsw dx\nsmsw [rsp]\nstr ebx\nsldt rsi\nmov rdi, cr4\n");
    bench.machine.set_system(SystemRegister::cr0, 0x80050033AABB);
    bench.machine.set_system(SystemRegister::cr4, 0x1234567890);
    bench.machine.set_system(SystemRegister::tr, 0x40);
    bench.machine.set_system(SystemRegister::ldtr, 0x58);
    for (unsigned i = 0; i < 8; ++i)
        if (i != kRsp) bench.machine.cpu.general[i] = ~std::uint64_t{0};
    const std::uint64_t beside = bench.machine.load(bench.general(kRsp) + 2, 2);
    for (int i = 0; i < 7; ++i) CHECK(bench.step() == Step::done);
    CHECK(bench.general(0) == 0x80050033AABB);
    CHECK(bench.general(1) == 0x50033AABB % 0x100000000);
    CHECK(bench.general(2) == 0xFFFFFFFFFFFFAABB);
    CHECK(bench.top(2) == 0xAABB);
    CHECK(bench.machine.load(bench.general(kRsp) + 2, 2) == beside);
    CHECK(bench.general(3) == 0x40);
    CHECK(bench.general(6) == 0x58);
    CHECK(bench.general(7) == 0x1234567890);
    // Without UMIP the processor answers at CPL 3, with registers that are not the guest's.
    Bench user(Mode::long64, "str eax", true);
    user.machine.set_system(SystemRegister::tr, 0x40);
    CHECK(user.step() == Step::done);
    CHECK(user.general(0) != 0x40);
}

TEST_CASE("proof machine: the two views of the flags") {
    Bench bench(Mode::protected32, "nop", true);
    Machine& machine = bench.machine;
    for (const std::uint64_t flags : {0x2u, 0x202u, 0x1002u, 0x3202u, 0x240ED7u}) {
        machine.set_guest_flags(flags);
        CHECK(machine.guest_flags() == flags);
        CHECK((machine.cpu.flags & 0x3200) == 0x200);
        CHECK(machine.vcpu_word(0x008, 4) == (flags & 0x200));
        CHECK(machine.vcpu_word(0x010, 4) == ((flags & 0x3000) - 0x200) % 0x100000000);
    }
}

TEST_CASE("proof machine: accesses to the VMM's pages") {
    Bench user(Mode::long64, "mov [flags_if], rax\n", true);
    user.machine.cpu.general[0] = 0x200;
    CHECK(user.step() == Step::done);
    CHECK(user.machine.vcpu_word(0x008, 8) == 0x200);
    CHECK(user.machine.forbidden_access() == 0);
    Bench original(Mode::long64, "mov [flags_if], rax\n");
    original.step();
    CHECK(original.machine.forbidden_access() == 0xFFFFFFFFFFFF1008);
    for (const char* text : {"mov [gate], rax", "mov dword ptr [after_sti], 0", "mov byte ptr [after_sti], 1", "mov byte ptr [after_sti + 1], 0", "mov al, [after_sti]"}) {
        INFO(text);
        Bench wrong(Mode::long64, text, true);
        wrong.step();
        CHECK(wrong.machine.forbidden_access() != 0);
    }
    Bench pending(Mode::long64, "mov byte ptr [after_flags], 0\n", true);
    pending.machine.pending_traps = true;
    pending.step();
    CHECK(pending.machine.take_pending_store() == 8u);
    CHECK_FALSE(pending.machine.take_pending_store());
    CHECK(pending.machine.forbidden_access() == 0);
}

TEST_CASE("proof machine: an identity survives a move, and nothing else does") {
    const auto identity = [](std::string_view text, Mode mode, std::uint64_t address) {
        const std::vector<std::uint8_t> bytes = assemble_at(text, mode, address);
        const Instruction insn = decode_instruction(bytes, mode, address);
        REQUIRE(insn.structure.length == bytes.size());
        return insn.identity;
    };
    const std::uint64_t here = kWindow64, there = 0xFFFFFFFFFFE00000;
    CHECK(identity("bsf rax, [rip + gate]", Mode::long64, here) == identity("bsf rax, [rip + gate]", Mode::long64, there));
    CHECK(identity("bsf rax, [rip + gate]", Mode::long64, here) != identity("bsf rax, [rip + gate + 1]", Mode::long64, there));
    CHECK(identity("bsf rax, [rdi + 8]", Mode::long64, here) == identity("bsf rax, [rdi + 8]", Mode::long64, there));
    CHECK(identity("bsf rax, [rdi + 8]", Mode::long64, here) != identity("bsf rax, [rdi + 9]", Mode::long64, here));
    CHECK(identity("bsf rax, [rdi + 8]", Mode::long64, here) != identity("bsf eax, [rdi + 8]", Mode::long64, here));
    CHECK(identity("lock inc dword ptr [rdi]", Mode::long64, here) != identity("inc dword ptr [rdi]", Mode::long64, here));
    CHECK(identity("xbegin gate", Mode::long64, here) == identity("xbegin gate", Mode::long64, there));
}

TEST_CASE("proof machine: an opaque function depends on the whole state") {
    const auto after = [](auto change) {
        Machine machine(test_layout(Mode::long64), 5, false);
        machine.cpu.general[kRsp] = 0xFFFFC90000001000;
        change(machine);
        apply_opaque(machine, 77, true, 0x1000);
        return machine.digest();
    };
    const std::uint64_t plain = after([](Machine&) {});
    CHECK(after([](Machine&) {}) == plain);
    CHECK(after([](Machine& m) { m.cpu.general[15] = 1; }) != plain);
    CHECK(after([](Machine& m) { m.cpu.flags ^= kCarry; }) != plain);
    CHECK(after([](Machine& m) { m.cpu.flags ^= kInterrupt; }) != plain);
    CHECK(after([](Machine& m) { m.memory.store(0x5000, 1, m.memory.load(0x5000, 1) + 1); }) != plain);
    CHECK(after([](Machine& m) { m.set_system(SystemRegister::cr3, 1); }) != plain);
}

TEST_CASE("proof machine: branches, calls and the way into 64-bit code") {
    Bench bench(Mode::long64, "call 1f\n1: ret 8\n");
    CHECK(bench.step() == Step::done);
    CHECK(bench.machine.cpu.ip == kWindow64 + 5);
    CHECK(bench.top(8) == kWindow64 + 5);
    CHECK(bench.step() == Step::done);
    CHECK(bench.machine.cpu.ip == kWindow64 + 5);
    CHECK(bench.general(kRsp) == 0xFFFFC90000001008);

    Bench far(Mode::protected32, "ljmp 0x33, offset wide\nwide: nop\n", true);
    CHECK(far.step() == Step::done);
    CHECK(far.machine.cpu.code == Mode::long64);
    CHECK(far.machine.cpu.ip == kWindow32 + 7);
    CHECK(Bench(Mode::protected32, "ljmp 0x60, offset wide\nwide: nop\n", true).step() == Step::opaque);
    CHECK(Bench(Mode::protected32, "ljmp 0x33, offset wide\nwide: nop\n").step() == Step::opaque);
    // A 66 prefix would truncate the instruction pointer: left alone.
    Bench odd(Mode::protected32, ".byte 0x66, 0xE9, 0, 0\n");
    CHECK(odd.step() == Step::opaque);
}

}  // namespace
}  // namespace trapline::patch::proof
