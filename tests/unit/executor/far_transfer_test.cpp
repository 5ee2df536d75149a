// SPDX-License-Identifier: Apache-2.0
// Far JMP and CALL: expected values are those of the pseudocode and exception lists of SDM vol. 2.
#include "tests/unit/executor/flat_memory.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kNp = Vector::not_present, kSsFault = Vector::stack_fault, kTs = Vector::invalid_tss;
constexpr std::uint16_t kFree = World::kFree;

}  // namespace

TEST_CASE("far jumps to code", "[protection]") {
    const auto jump = [](World& world, std::uint16_t selector, std::uint32_t offset = 0x500, unsigned size = 4) {
        return [&world, selector, offset, size] { return far_jump(world.vcpu, world.memory, selector, offset, size); };
    };
    World user(3);
    REQUIRE_FALSE(jump(user, World::kCode3 & ~3u, 0x12345678, 2)());  // RPL below CPL does no harm: CS gets the CPL
    CHECK(user.vcpu.rip == 0x5678);
    CHECK(user.vcpu.cs().selector == World::kCode3);
    REQUIRE_FALSE(jump(user, World::kConforming0, 0x12345678)());
    CHECK(user.vcpu.rip == 0x12345678);
    CHECK(user.vcpu.cs().selector == (World::kConforming0 | 3));
    CHECK(user.vcpu.cpl == 3);
    check_fault(user, kGp, 8, jump(user, World::kCode0 | 3));
    check_fault(user, kGp, 0, jump(user, 2));
    check_fault(user, kGp, 0x100, jump(user, 0x103));
    check_fault(user, kGp, 0x20, jump(user, World::kData3));
    check_fault(user, kGp, 0x38, jump(user, World::kLdtSelector));

    World kernel;
    check_fault(kernel, kGp, 8, jump(kernel, World::kCode0 | 1));    // RPL above CPL
    check_fault(kernel, kGp, 0x18, jump(kernel, World::kCode3));     // DPL is not CPL
    kernel.set(kFree, descriptor(0, 0xFFF, 0xFF, 4));
    check_fault(kernel, kGp, kFree, jump(kernel, kFree));            // conforming, DPL above CPL
    kernel.set(kFree, descriptor(0, 0xFFF, 0x1B, 4));
    check_fault(kernel, kNp, kFree, jump(kernel, kFree));
    kernel.set(kFree, descriptor(0, 0xFFF, 0x9B, 4));
    check_fault(kernel, kGp, 0, jump(kernel, kFree, 0x1000));
    REQUIRE_FALSE(jump(kernel, kFree, 0xFFF)());
}

TEST_CASE("far calls push the return address or nothing", "[protection]") {
    World world;
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, World::kCode0, 0x500, 4));
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 8);
    CHECK(world.top(0) == 0x700);
    CHECK(world.top(1) == World::kCode0);
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, World::kConforming0, 0x600, 2));
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 12);
    CHECK(world.top(0, 2) == 0x500);
    CHECK(world.top(1, 2) == World::kCode0);

    // A 16-bit stack wraps around, and the upper half of ESP stays out of it.
    world.vcpu.segments[kSs] = world.segment(World::kStack16);
    world.vcpu.gpr[kRsp] = 0xABCD0004;
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, World::kCode0, 0x500, 4));
    CHECK(world.vcpu.gpr[kRsp] == 0xABCDFFFC);
    CHECK(world.memory.get(0x1FFFC, 4) == 0x600);
    CHECK(world.memory.get(0x10000, 4) == World::kConforming0);
    world.vcpu.gpr[kRsp] = 0x0006;  // EIP would straddle the end
    check_fault(world, kSsFault, 0, [&] { return far_call(world.vcpu, world.memory, World::kCode0, 0x500, 4); });

    // The second page of the frame cannot be written: the first is not either.
    World torn;
    torn.vcpu.gpr[kRsp] = 0x8004;
    torn.memory.pages[7] = FlatMemory::Page::read_only;
    check_fault(torn, Vector::page_fault, 3, [&] { return far_call(torn.vcpu, torn.memory, World::kCode0, 0x500, 4); });
    torn.vcpu.segments[kSs] = torn.segment(World::kData16);
    torn.vcpu.gpr[kRsp] = 4;
    torn.memory.pages[0xF] = FlatMemory::Page::missing;
    check_fault(torn, Vector::page_fault, 2, [&] { return far_call(torn.vcpu, torn.memory, World::kCode0, 0x500, 4); });
}

TEST_CASE("call gates change ring, stack and parameters", "[protection]") {
    World world(3);
    world.set(kFree, gate(World::kCode0, 0x12345, 0xEC, 2));
    world.stack({0x1111, 0x2222});
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, kFree | 3, 0xFFFFFFFF, 4));
    CHECK(world.vcpu.cpl == 0);
    CHECK(world.vcpu.cs().selector == World::kCode0);
    CHECK(world.vcpu.rip == 0x12345);
    CHECK(world.vcpu.ss().selector == World::kData0);
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 24);
    CHECK(world.top(0) == 0x700);
    CHECK(world.top(1) == World::kCode3);
    CHECK(world.top(2) == 0x1111);
    CHECK(world.top(3) == 0x2222);
    CHECK(world.top(4) == World::kStack3 - 8);
    CHECK(world.top(5) == World::kData3);
    // And back: RET 8 takes the parameters off both stacks.
    REQUIRE_FALSE(far_return(world.vcpu, world.memory, 4, 8));
    CHECK(world.vcpu.cpl == 3);
    CHECK(world.vcpu.gpr[kRsp] == World::kStack3);
    CHECK(world.vcpu.rip == 0x700);

    World narrow(3);
    narrow.set(kFree, gate(World::kCode1, 0xABCD1234, 0xE4, 1));
    narrow.stack({0x7777}, 2);
    REQUIRE_FALSE(far_call(narrow.vcpu, narrow.memory, kFree, 0, 4));
    CHECK(narrow.vcpu.cpl == 1);
    CHECK(narrow.vcpu.rip == 0x1234);
    CHECK(narrow.vcpu.gpr[kRsp] == World::kStack1 - 10);
    CHECK(narrow.top(0, 2) == 0x700);
    CHECK(narrow.top(1, 2) == World::kCode3);
    CHECK(narrow.top(2, 2) == 0x7777);
    CHECK(narrow.top(3, 2) == World::kStack3 - 2);
    CHECK(narrow.top(4, 2) == World::kData3);

    // To conforming code, or of the same ring: no other stack.
    World same(3);
    same.set(kFree, gate(World::kConforming0, 0x900, 0xEC, 5));
    REQUIRE_FALSE(far_call(same.vcpu, same.memory, kFree, 0, 2));
    CHECK(same.vcpu.cpl == 3);
    CHECK(same.vcpu.gpr[kRsp] == World::kStack3 - 8);
    REQUIRE_FALSE(far_jump(same.vcpu, same.memory, kFree, 0, 2));
    CHECK(same.vcpu.gpr[kRsp] == World::kStack3 - 8);

    // A 16-bit TSS keeps SP0 and SS0 at 2 and 4.
    World old(3);
    old.vcpu.tr = old.segment(World::kTss16Selector);
    old.memory.put(World::kTss16 + 2, 0x8800, 2), old.memory.put(World::kTss16 + 4, World::kData16, 2);
    old.set(kFree, gate(World::kCode0, 0x900, 0xEC));
    REQUIRE_FALSE(far_call(old.vcpu, old.memory, kFree, 0, 4));
    CHECK(old.vcpu.gpr[kRsp] == 0x8800 - 16);
}

TEST_CASE("call gates refuse", "[protection]") {
    struct Row {
        const char* name;
        std::uint64_t gate_entry, second_entry;
        std::uint16_t selector;
        bool jump;
        Vector fault;
        std::uint32_t error_code;
    };
    constexpr std::uint16_t kSecond = World::kFree2;
    const Row rows[] = {
        {"gate DPL below CPL", gate(8, 0, 0x8C), 0, kFree, false, kGp, kFree},
        {"gate not present", gate(8, 0, 0x6C), 0, kFree, false, kNp, kFree},
        {"missing gate of a wrong ring", gate(8, 0, 0x0C), 0, kFree, false, kGp, kFree},
        {"null target", gate(0, 0, 0xEC), 0, kFree, false, kGp, 0},
        {"target behind the table", gate(0x200, 0, 0xEC), 0, kFree, false, kGp, 0x200},
        {"target is data", gate(World::kData3, 0, 0xEC), 0, kFree, false, kGp, 0x20},
        {"target not present", gate(kSecond, 0, 0xEC), descriptor(0, 0xFFFFF, 0x1B, 0xC), kFree, false, kNp, kSecond},
        {"jump inwards", gate(8, 0, 0xEC), 0, kFree, true, kGp, 8},
        {"jump inwards to what is not present", gate(kSecond, 0, 0xEC), descriptor(0, 0xFFFFF, 0x1B, 0xC), kFree, true, kGp, kSecond},
        {"offset behind the limit", gate(kSecond, 0x1000, 0xEC), descriptor(0, 0xFFF, 0x9B, 4), kFree, false, kGp, 0},
        {"interrupt gate", gate(8, 0, 0xEE), 0, kFree, false, kGp, kFree},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        World world(3);
        world.set(kFree, row.gate_entry);
        world.set(kSecond, row.second_entry);
        check_fault(world, row.fault, row.error_code, [&] {
            return row.jump ? far_jump(world.vcpu, world.memory, row.selector, 0, 4) : far_call(world.vcpu, world.memory, row.selector, 0, 4);
        });
    }
    // The RPL counts against the gate as well as the CPL.
    World kernel;
    kernel.set(kFree, gate(8, 0, 0x8C));
    check_fault(kernel, kGp, kFree, [&] { return far_call(kernel.vcpu, kernel.memory, kFree | 1, 0, 4); });

    struct StackRow {
        const char* name;
        std::uint16_t selector;
        std::uint32_t pointer;
        std::uint64_t entry;
        Vector fault;
        std::uint32_t error_code;
    };
    const StackRow stacks[] = {
        {"null", 0, World::kStack0, 0, kTs, 0},
        {"behind the table", 0x200, World::kStack0, 0, kTs, 0x200},
        {"RPL", World::kData0 | 3, World::kStack0, 0, kTs, 0x10},
        {"DPL", 0x20, World::kStack0, 0, kTs, 0x20},
        {"read-only", kSecond, World::kStack0, descriptor(0, 0xFFFFF, 0x91, 0xC), kTs, kSecond},
        {"not present", kSecond, World::kStack0, descriptor(0, 0xFFFFF, 0x13, 0xC), kSsFault, kSecond},
        {"no room", kSecond, 15, descriptor(0x8000, 0xFFF, 0x93, 0x4), kSsFault, kSecond},
        {"no room below an expand-down limit", kSecond, 0x100F, descriptor(0, 0xFFF, 0x97, 0x4), kSsFault, kSecond},
    };
    for (const StackRow& row : stacks) {
        INFO(row.name);
        World world(3);
        world.set(kFree, gate(World::kCode0, 0x900, 0xEC));
        world.set(kSecond, row.entry);
        world.memory.put(World::kTss + 4, row.pointer, 4), world.memory.put(World::kTss + 8, row.selector, 2);
        check_fault(world, row.fault, row.error_code, [&] { return far_call(world.vcpu, world.memory, kFree, 0, 4); });
    }
    World small(3);
    small.set(kFree, gate(World::kCode0, 0x900, 0xEC));
    small.vcpu.tr.limit = 8;  // SS0's last byte is at 9
    check_fault(small, kTs, World::kTssSelector, [&] { return far_call(small.vcpu, small.memory, kFree, 0, 4); });
}
