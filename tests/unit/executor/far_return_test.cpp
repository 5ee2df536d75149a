// SPDX-License-Identifier: Apache-2.0
// RET far and IRET: expected values are those of the pseudocode and exception lists of SDM vol. 2.
#include "tests/unit/executor/flat_memory.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kNp = Vector::not_present, kSsFault = Vector::stack_fault;
constexpr std::uint16_t kFree = World::kFree;

}  // namespace

TEST_CASE("far returns", "[protection]") {
    struct Row {
        const char* name;
        std::uint8_t cpl;
        std::initializer_list<std::uint32_t> stack;
        std::uint64_t free_entry;
        std::optional<Vector> fault;
        std::uint32_t error_code = 0;
    };
    const Row rows[] = {
        {"same ring", 0, {0x500, World::kCode0}, 0, {}},
        {"outer ring", 0, {0x500, World::kCode3, 0xA800, World::kData3}, 0, {}},
        {"null CS", 0, {0x500, 3}, 0, kGp, 0},
        {"CS behind the table", 0, {0x500, 0x203}, 0, kGp, 0x200},
        {"CS is data", 0, {0x500, World::kData0}, 0, kGp, 0x10},
        {"inwards", 3, {0x500, World::kCode0}, 0, kGp, 8},
        {"DPL is not RPL", 0, {0x500, World::kCode0 | 3}, 0, kGp, 8},
        {"conforming, DPL below RPL", 0, {0x500, World::kConforming0 | 3, 0xA800, World::kData3}, 0, {}},
        {"conforming, DPL above RPL", 0, {0x500, kFree}, descriptor(0, 0xFFFFF, 0xFF, 0xC), kGp, kFree},
        {"CS not present", 0, {0x500, kFree | 3}, descriptor(0, 0xFFFFF, 0x7B, 0xC), kNp, kFree},
        {"offset behind the limit", 0, {0x1000, kFree}, descriptor(0, 0xFFF, 0x9B, 4), kGp, 0},
        {"offset behind the limit, outer", 0, {0x1000, kFree | 3, 0xA800, World::kData3}, descriptor(0, 0xFFF, 0xFB, 4), kGp, 0},
        {"null SS", 0, {0x500, World::kCode3, 0xA800, 0}, 0, kGp, 0},
        {"SS behind the table", 0, {0x500, World::kCode3, 0xA800, 0x203}, 0, kGp, 0x200},
        {"SS of another RPL", 0, {0x500, World::kCode3, 0xA800, 0x20}, 0, kGp, 0x20},
        {"SS of another DPL", 0, {0x500, World::kCode3, 0xA800, World::kData0 | 3}, 0, kGp, 0x10},
        {"SS not writable", 0, {0x500, World::kCode3, 0xA800, World::kCode3}, 0, kGp, 0x18},
        {"SS not present", 0, {0x500, World::kCode3, 0xA800, kFree | 3}, descriptor(0, 0xFFFFF, 0x73, 0xC), kSsFault, kFree},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        World world(row.cpl);
        world.set(kFree, row.free_entry);
        world.stack(row.stack);
        const auto back = [&] { return far_return(world.vcpu, world.memory, 4, 0); };
        if (row.fault) {
            check_fault(world, *row.fault, row.error_code, back);
        } else {
            CHECK_FALSE(back());
            CHECK(world.vcpu.rip == 0x500);
            CHECK(world.vcpu.cs().selector == row.stack.begin()[1]);
            CHECK(world.vcpu.gpr[kRsp] == (row.stack.size() == 4 ? 0xA800u : World::kStack0));
        }
    }
    World world;
    world.stack({0x500, World::kCode0}, 2);
    REQUIRE_FALSE(far_return(world.vcpu, world.memory, 2, 0x10));
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 + 0x10);
    // SS and ESP stand beyond the stack's limit.
    world.vcpu.segments[kSs].limit = World::kStack0 - 1;
    world.vcpu.gpr[kRsp] = World::kStack0;
    world.stack({0x500, World::kCode3});
    check_fault(world, kSsFault, 0, [&] { return far_return(world.vcpu, world.memory, 4, 0); });
}

TEST_CASE("a return to an outer ring takes the inner ring's segments away", "[protection]") {
    World world;
    world.stack({0x500, World::kCode3, 0xA800, World::kData3});
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kEs, World::kData0));
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kDs, World::kData3));
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kFs, World::kConforming0));
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kGs, 2));
    REQUIRE_FALSE(far_return(world.vcpu, world.memory, 4, 0));
    CHECK(world.vcpu.segments[kEs].selector == 0);
    CHECK_FALSE(world.vcpu.segments[kEs].present);
    CHECK(world.vcpu.segments[kDs].selector == World::kData3);
    CHECK(world.vcpu.segments[kFs].selector == World::kConforming0);
    CHECK(world.vcpu.segments[kGs].selector == 0);
}

TEST_CASE("a return to a 16-bit stack leaves the upper half of ESP", "[protection]") {
    World world;
    world.set(kFree, descriptor(0, 0xFFFF, 0xF3, 0));
    world.vcpu.gpr[kRsp] = 0x00089000;
    world.stack({0x500, World::kCode3, 0x12345678, kFree | 3});
    REQUIRE_FALSE(far_return(world.vcpu, world.memory, 4, 0));
    CHECK(world.vcpu.gpr[kRsp] == 0x00085678);
}

TEST_CASE("IRET loads the flags that CPL and IOPL allow", "[protection]") {
    struct Row {
        std::uint8_t cpl;
        unsigned iopl, size;
        std::uint32_t before, popped, after;
    };
    constexpr std::uint32_t kVm = 1 << 17, kAll = 0x003F7FD7 & ~kVm & ~(1u << 14);
    const Row rows[] = {
        {0, 0, 4, 0x00000002, kAll, 0x003D3FD7},
        {0, 0, 2, 0x00000002, kAll, 0x00003FD7},
        {0, 3, 4, 0x003D3FD7, 0x00000002, 0x00000002},
        {0, 3, 2, 0x003D3FD7, 0x00000002, 0x003D0002},
        {3, 0, 4, 0x00000002, kAll, 0x00250DD7},         // neither IF, IOPL, VIF nor VIP
        {3, 3, 4, 0x00003002, kAll, 0x00253FD7},         // IF as well
        {3, 3, 4, 0x00003202, 0x00000002, 0x00003002},
        {3, 2, 4, 0x00002202, 0x00000002, 0x00002202},
        {3, 0, 4, 0x00000002, kAll | kVm, 0x00250DD7},   // VM counts only at CPL 0
    };
    for (const Row& row : rows) {
        INFO("CPL " << int{row.cpl} << " IOPL " << row.iopl << " size " << row.size << " popped " << std::hex << row.popped);
        World world(row.cpl);
        world.vcpu.rflags = row.before;
        world.stack({0x500, row.cpl == 0 ? World::kCode0 : World::kCode3, row.popped}, row.size);
        REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, row.size));
        CHECK(world.vcpu.rflags == row.after);
        CHECK(world.vcpu.rip == 0x500);
    }
    World world;
    world.stack({0x500, World::kCode3, 0x3202, 0xA800, World::kData3});
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 4));
    CHECK(world.vcpu.cpl == 3);
    CHECK(world.vcpu.rflags == 0x3202);
    CHECK(world.vcpu.gpr[kRsp] == 0xA800);
    CHECK_FALSE(world.vcpu.segments[kDs].present);
    // Two reads of the stack and two of descriptors: this is the way back from every system call.
    CHECK(world.memory.reads == 4);
    CHECK(world.memory.writes == 0);

    World bad;
    bad.stack({0x500, World::kCode3, 0x3202, 0xA800, 0});
    check_fault(bad, kGp, 0, [&] { return interrupt_return(bad.vcpu, bad.memory, 4); });
}

TEST_CASE("IRET to and from virtual-8086 mode", "[protection]") {
    World world;
    world.stack({0x100, 0x1234, 0x00020202, 0x1000, 0x2000, 0x1001, 0x1003, 0x1004, 0x1005});
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 4));
    CHECK(world.vcpu.is_v86());
    CHECK(world.vcpu.cpl == 3);
    CHECK(world.vcpu.rip == 0x100);
    CHECK(world.vcpu.gpr[kRsp] == 0x1000);
    const std::uint16_t selectors[] = {0x1001, 0x1234, 0x2000, 0x1003, 0x1004, 0x1005};
    for (unsigned i = 0; i < 6; ++i) {
        CHECK(world.vcpu.segments[i].selector == selectors[i]);
        CHECK(world.vcpu.segments[i].base == selectors[i] * 16u);
        CHECK(world.vcpu.segments[i].limit == 0xFFFF);
        CHECK_FALSE(world.vcpu.segments[i].big);
    }
    World beyond;
    beyond.stack({0x10000, 0x1234, 0x00020202, 0x1000, 0x2000, 0x1001, 0x1003, 0x1004, 0x1005});
    check_fault(beyond, kGp, 0, [&] { return interrupt_return(beyond.vcpu, beyond.memory, 4); });

    World v86;
    v86.enter_v86(2);
    v86.stack({0x300, 0x4321, 0x0002}, 2);
    check_fault(v86, kGp, 0, [&] { return interrupt_return(v86.vcpu, v86.memory, 2); });
    v86.enter_v86(3);
    v86.stack({0x300, 0x4321, 0x0002}, 2);
    REQUIRE_FALSE(interrupt_return(v86.vcpu, v86.memory, 2));
    CHECK(v86.vcpu.cs().base == 0x43210);
    CHECK(v86.vcpu.rflags == (flag::vm | 0x3002));  // IOPL and VM stay, IF goes
}

TEST_CASE("IRET in real mode", "[protection]") {
    World world;
    world.vcpu.cr0 &= ~cr0::pe;
    for (unsigned i = 0; i < 6; ++i) world.vcpu.segments[i] = Segment{};
    world.vcpu.rflags = 0x001A0002;
    world.vcpu.gpr[kRsp] = 0x8000;
    world.stack({0x300, 0x4321, 0x003F7FD7});
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 4));
    CHECK(world.vcpu.rflags == 0x003F7FD7);  // (popped & 257FD5) | (before & 1A0000)
    CHECK(world.vcpu.cs().base == 0x43210);
    world.stack({0x10000, 0x4321, 2});
    check_fault(world, kGp, 0, [&] { return interrupt_return(world.vcpu, world.memory, 4); });
}

TEST_CASE("far calls and returns in real mode", "[protection]") {
    World world;
    world.vcpu.cr0 &= ~cr0::pe;
    for (unsigned i = 0; i < 6; ++i) world.vcpu.segments[i] = Segment{};
    load_real_segment(world.vcpu, kCs, 0x0070);
    world.vcpu.gpr[kRsp] = 2;
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, 0xF000, 0x1234, 2));  // SP wraps between CS and IP
    CHECK(world.vcpu.gpr[kRsp] == 0xFFFE);
    CHECK(world.memory.get(0, 2) == 0x70);
    CHECK(world.memory.get(0xFFFE, 2) == 0x700);
    CHECK(world.vcpu.cs().base == 0xF0000);
    REQUIRE_FALSE(far_return(world.vcpu, world.memory, 2, 4));
    CHECK(world.vcpu.gpr[kRsp] == 6);
    CHECK(world.vcpu.rip == 0x700);
    check_fault(world, kGp, 0, [&] { return far_jump(world.vcpu, world.memory, 0, 0x10000, 4); });
    world.vcpu.gpr[kRsp] = 1;
    check_fault(world, kSsFault, 0, [&] { return far_call(world.vcpu, world.memory, 0, 0, 2); });
}
