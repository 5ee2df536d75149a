// SPDX-License-Identifier: Apache-2.0
// Task switches: what SDM vol. 3, "Task Management", says of busy bits, NT and back link (table "Effect of a Task Switch"), of
// the saved and loaded state, and of the conditions that are checked.
#include "tests/unit/executor/flat_memory.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kNp = Vector::not_present, kSsFault = Vector::stack_fault, kTs = Vector::invalid_tss;
constexpr std::uint16_t kFree = World::kFree, kNew = World::kNewTssSelector;
constexpr std::uint32_t kNewTss = World::kNewTss, kTss = World::kTss;

std::uint64_t new_descriptor(std::uint64_t access) { return descriptor(kNewTss, 0x67, access, 0); }
std::uint64_t old_descriptor(std::uint64_t access) { return descriptor(kTss, 0x67, access, 0); }

/// A world whose second 32-bit TSS holds a task in ring 3.
World two_tasks(std::uint8_t cpl = 0) {
    World world(cpl);
    FlatMemory& memory = world.memory;
    memory.put(kNewTss + 0x1C, 0x77000, 4);
    memory.put(kNewTss + 0x20, 0x5000, 4);
    memory.put(kNewTss + 0x24, 0x3202, 4);
    for (unsigned i = 0; i < 8; ++i) memory.put(kNewTss + 0x28 + 4 * i, 0xA0B0'0000 + i, 4);
    memory.put(kNewTss + 0x38, 0xB800, 4);  // ESP
    const std::uint16_t selectors[] = {World::kData3, World::kCode3, World::kData3, 7, 0, World::kConforming0, World::kLdtSelector};
    for (unsigned i = 0; i < 7; ++i) memory.put(kNewTss + 0x48 + 4 * i, selectors[i], 2);
    world.vcpu.ldtr = {.selector = 0, .type = 2, .system = true, .present = false};
    for (unsigned i = 0; i < 8; ++i)
        if (i != kRsp) world.vcpu.gpr[i] = 0x1110'0000 + i;
    world.vcpu.rflags = 0x246;
    world.vcpu.cr3 = 0x1000;
    world.vcpu.dr[7] = 0x7FF;
    return world;
}

void check_saved(const World& world, std::uint32_t flags, std::uint32_t stack) {
    CHECK(world.memory.get(kTss + 0x20, 4) == 0x700);
    CHECK(world.memory.get(kTss + 0x24, 4) == flags);
    for (unsigned i = 0; i < 8; ++i) CHECK(world.memory.get(kTss + 0x28 + 4 * i, 4) == (i == kRsp ? stack : 0x1110'0000 + i));
    const std::uint16_t selectors[] = {World::kData0, World::kCode0, World::kData0, World::kData0, World::kData0, World::kData0};
    for (unsigned i = 0; i < 6; ++i) CHECK(world.memory.get(kTss + 0x48 + 4 * i, 2) == selectors[i]);
}

void check_runs(const World& world, std::uint64_t flags) {
    const Vcpu& vcpu = world.vcpu;
    CHECK(vcpu.tr.selector == kNew);
    CHECK(vcpu.tr.base == kNewTss);
    CHECK(vcpu.tr.type == 11);
    CHECK(vcpu.rip == 0x5000);
    CHECK(vcpu.rflags == flags);
    CHECK(vcpu.cpl == 3);
    for (unsigned i = 0; i < 8; ++i) CHECK(vcpu.gpr[i] == (i == kRsp ? 0xB800 : 0xA0B0'0000 + i));
    CHECK(vcpu.segments[kEs].selector == World::kData3);
    CHECK(vcpu.cs().selector == World::kCode3);
    CHECK(vcpu.ss().dpl == 3);
    CHECK(vcpu.segments[kDs].base == 0x8000);
    CHECK_FALSE(vcpu.segments[kFs].present);
    CHECK(vcpu.segments[kGs].is_conforming());
    CHECK(vcpu.ldtr.base == World::kLdt);
    CHECK((vcpu.cr0 & cr0::ts) != 0);
    CHECK(vcpu.dr[7] == 0x6AA);  // L0 to L3 and LE are clear
    CHECK(world.memory.task_switches == 1);
}

}  // namespace

TEST_CASE("a jump to a TSS", "[task]") {
    World world = two_tasks();
    REQUIRE_FALSE(far_jump(world.vcpu, world.memory, kNew, 0xFFFFFFFF, 4));
    check_saved(world, 0x246, World::kStack0);
    check_runs(world, 0x3202);
    CHECK(world.vcpu.cr3 == 0x1000);  // no paging, no CR3
    CHECK(world.entry(kNew) == new_descriptor(0x8B));
    CHECK(world.entry(World::kTssSelector) == old_descriptor(0x89));
    CHECK(world.memory.get(kNewTss, 2) == 0);
}

TEST_CASE("a call to a TSS nests, and IRET goes back", "[task]") {
    World world = two_tasks();
    world.vcpu.cr0 |= cr0::pg;
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, kNew, 0, 4));
    check_saved(world, 0x246, World::kStack0);
    check_runs(world, 0x3202 | flag::nt);
    CHECK(world.vcpu.cr3 == 0x77000);
    CHECK(world.entry(kNew) == new_descriptor(0x8B));
    CHECK(world.entry(World::kTssSelector) == old_descriptor(0x8B));
    CHECK(world.memory.get(kNewTss, 2) == World::kTssSelector);

    world.memory.put(kTss + 0x1C, 0x1000, 4);
    world.vcpu.rip = 0x5010;
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 4));
    CHECK(world.vcpu.tr.selector == World::kTssSelector);
    CHECK(world.vcpu.cpl == 0);
    CHECK(world.vcpu.rip == 0x700);
    CHECK(world.vcpu.rflags == 0x246);
    CHECK(world.vcpu.cr3 == 0x1000);
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0);
    CHECK(world.entry(kNew) == new_descriptor(0x89));
    CHECK(world.entry(World::kTssSelector) == old_descriptor(0x8B));
    CHECK(world.memory.get(kNewTss + 0x20, 4) == 0x5010);
    CHECK(world.memory.get(kNewTss + 0x24, 4) == 0x3202);  // saved without NT
}

TEST_CASE("task gates", "[task]") {
    World world = two_tasks();
    world.set(kFree, gate(kNew, 0, 0x85));
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, kFree, 0, 4));
    check_runs(world, 0x3202 | flag::nt);
    World user = two_tasks(3);
    user.set(kFree, gate(kNew, 0, 0x85));
    check_fault(user, kGp, kFree, [&] { return far_jump(user.vcpu, user.memory, kFree, 0, 4); });
    check_fault(user, kGp, kNew, [&] { return far_jump(user.vcpu, user.memory, kNew, 0, 4); });  // the TSS's own DPL
    user.set(kFree, gate(kNew, 0, 0x65));
    check_fault(user, kNp, kFree, [&] { return far_jump(user.vcpu, user.memory, kFree, 0, 4); });
    user.set(kFree, gate(kNew, 0, 0xE5));  // through a gate the TSS's DPL does not count
    CHECK_FALSE(far_jump(user.vcpu, user.memory, kFree, 0, 4));
}

TEST_CASE("an exception through a task gate", "[task]") {
    World world = two_tasks();
    world.memory.put(kNewTss + 0x4C, World::kCode0, 2), world.memory.put(kNewTss + 0x50, World::kData0, 2);
    world.set_idt(10, gate(kNew, 0, 0x85));
    const Event event{.kind = EventKind::fault, .vector = 10, .error_code = 0x1234};
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, event));
    check_saved(world, 0x10246, World::kStack0);  // RF: the fault restarts
    CHECK(world.vcpu.gpr[kRsp] == 0xB7FC);
    CHECK(world.top(0) == 0x1234);
    CHECK((world.vcpu.rflags & flag::nt) != 0);
    CHECK(world.memory.get(kNewTss, 2) == World::kTssSelector);
    // Busy now, so the second one has no task to go to.
    check_fault(world, kGp, kNew | 1, [&] { return deliver_once(world.vcpu, world.memory, event); });
}

TEST_CASE("conditions that are checked before the switch", "[task]") {
    struct Row {
        const char* name;
        std::uint16_t selector;  ///< in a task gate
        std::uint64_t entry;     ///< at kFree
        Vector fault;
        std::uint32_t error_code;
    };
    const Row rows[] = {
        {"null", 0, 0, kGp, 0},
        {"in the LDT", kNew | 4, 0, kGp, kNew | 4},
        {"behind the table", 0x200, 0, kGp, 0x200},
        {"busy", World::kTssSelector, 0, kGp, World::kTssSelector},
        {"an LDT", World::kLdtSelector, 0, kGp, World::kLdtSelector},
        {"missing", kFree, descriptor(kNewTss, 0x67, 0x09, 0), kNp, kFree},
        {"missing and busy", kFree, descriptor(kNewTss, 0x67, 0x0B, 0), kGp, kFree},
        {"too short", kFree, descriptor(kNewTss, 0x66, 0x89, 0), kTs, kFree},
        {"too short for 16 bits", kFree, descriptor(kNewTss, 0x2A, 0x81, 0), kTs, kFree},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        World world = two_tasks();
        world.set(kFree, row.entry);
        world.set(World::kFree2, gate(row.selector, 0, 0x85));
        check_fault(world, row.fault, row.error_code, [&] { return far_jump(world.vcpu, world.memory, World::kFree2, 0, 4); });
        check_fault(world, row.fault, row.error_code, [&] { return far_call(world.vcpu, world.memory, World::kFree2, 0, 4); });
        world.set_idt(0x20, gate(row.selector, 0, 0x85));
        check_fault(world, row.fault, row.error_code | 1, [&] {
            return deliver_once(world.vcpu, world.memory, {.kind = EventKind::external_interrupt, .vector = 0x20});
        });
    }
    SECTION("IRET asks for a busy task and says #TS") {
        World world = two_tasks();
        world.vcpu.rflags |= flag::nt;
        for (const std::uint16_t link : {std::uint16_t{0}, kNew, std::uint16_t{kNew | 4}, std::uint16_t{0x200}, World::kData0}) {
            INFO("link " << link);
            world.memory.put(kTss, link, 2);
            check_fault(world, kTs, link & 0xFFFC, [&] { return interrupt_return(world.vcpu, world.memory, 4); });
        }
        world.set(kNew, new_descriptor(0x0B));
        world.memory.put(kTss, kNew, 2);
        check_fault(world, kNp, kNew, [&] { return interrupt_return(world.vcpu, world.memory, 4); });
    }
    SECTION("pages that are missing or cannot be written") {
        for (const std::uint32_t page : {kNewTss >> 12, kTss >> 12, World::kGdt >> 12}) {
            INFO("page " << page);
            World world = two_tasks();
            world.memory.pages[page] = FlatMemory::Page::read_only;
            check_fault(world, Vector::page_fault, 3, [&] { return far_call(world.vcpu, world.memory, kNew, 0, 4); });
        }
        World world = two_tasks();
        world.memory.pages[kNewTss >> 12] = FlatMemory::Page::read_only;  // a jump writes no link
        CHECK_FALSE(far_jump(world.vcpu, world.memory, kNew, 0, 4));
    }
    SECTION("an old TSS that cannot take the state") {
        World world = two_tasks();
        world.vcpu.tr.limit = 0x5E;
        check_fault(world, kTs, World::kTssSelector, [&] { return far_jump(world.vcpu, world.memory, kNew, 0, 4); });
    }
}

TEST_CASE("conditions that are the new task's affair", "[task]") {
    struct Row {
        const char* name;
        std::uint32_t field;
        std::uint32_t value;
        std::uint64_t entry;  ///< at kFree
        Vector fault;
        std::uint32_t error_code;
    };
    constexpr std::uint32_t kEsAt = 0x48, kCsAt = 0x4C, kSsAt = 0x50, kLdtAt = 0x60;
    const Row rows[] = {
        {"LDT in the LDT", kLdtAt, World::kLdtSelector | 4, 0, kTs, World::kLdtSelector | 4},
        {"LDT is data", kLdtAt, World::kData0, 0, kTs, World::kData0},
        {"LDT missing", kLdtAt, kFree, descriptor(0, 7, 0x02, 0), kTs, kFree},
        {"CS null", kCsAt, 3, 0, kTs, 0},
        {"CS is data", kCsAt, World::kData3, 0, kTs, 0x20},
        {"CS RPL is not DPL", kCsAt, World::kCode0 | 3, 0, kTs, 8},
        {"CS missing", kCsAt, kFree | 3, descriptor(0, 0xFFFFF, 0x7B, 0xC), kNp, kFree},
        {"EIP behind the limit", kCsAt, kFree | 3, descriptor(0, 0x4FFF, 0xFB, 4), kGp, 0},
        {"SS null", kSsAt, 0, 0, kTs, 0},
        {"SS of another ring", kSsAt, World::kData0, 0, kTs, World::kData0},
        {"SS missing", kSsAt, kFree | 3, descriptor(0, 0xFFFFF, 0x73, 0xC), kSsFault, kFree},
        {"ES of an inner ring", kEsAt, World::kData0, 0, kTs, World::kData0},
        {"ES not readable", kEsAt, kFree | 3, descriptor(0, 0xFFFFF, 0xF9, 0xC), kTs, kFree},
        {"ES missing", kEsAt, kFree | 3, descriptor(0, 0xFFFFF, 0x73, 0xC), kNp, kFree},
        {"ES behind the table", kEsAt, 0x203, 0, kTs, 0x200},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        World world = two_tasks();
        world.set(kFree, row.entry);
        world.memory.put(kNewTss + row.field, row.value, 2);
        const MaybeFault fault = far_jump(world.vcpu, world.memory, kNew, 0, 4);
        REQUIRE(fault);
        CHECK(static_cast<int>(fault->vector) == static_cast<int>(row.fault));
        CHECK(fault->error_code == row.error_code);
        CHECK(fault->after_task_switch);
        CHECK(world.vcpu.tr.selector == kNew);
        CHECK(world.vcpu.rip == 0x5000);
        check_saved(world, 0x246, World::kStack0);
    }
}

TEST_CASE("a fault of the new task is handled in it", "[task]") {
    World world = two_tasks();
    world.memory.put(kNewTss + 0x48, World::kData0, 2);  // ES
    world.memory.put(kNewTss + 4, World::kStack1, 4), world.memory.put(kNewTss + 8, World::kData0, 2);
    world.set_idt(0x20, gate(kNew, 0, 0x85));
    world.set_idt(10, gate(World::kCode0, 0x910, 0x8E));
    REQUIRE(deliver(world.vcpu, world.memory, {.kind = EventKind::external_interrupt, .vector = 0x20}) == Delivery::delivered);
    CHECK(world.vcpu.rip == 0x910);
    CHECK(world.top(0) == (World::kData0 | 1));
    CHECK(world.top(1) == 0x5000);
    CHECK(world.top(2) == World::kCode3);
}

TEST_CASE("the T bit traps before the task's first instruction", "[task]") {
    World world = two_tasks();
    world.memory.put(kNewTss + 0x64, 1, 2);
    const MaybeFault fault = far_jump(world.vcpu, world.memory, kNew, 0, 4);
    REQUIRE(fault);
    CHECK(fault->vector == Vector::debug);
    CHECK(fault->after_task_switch);
    CHECK(world.vcpu.dr[6] == 0xFFFF8FF0);
    check_runs(world, 0x3202);

    World event = two_tasks();
    event.memory.put(kNewTss + 0x64, 1, 2);
    event.memory.put(kNewTss + 4, World::kStack1, 4), event.memory.put(kNewTss + 8, World::kData0, 2);
    event.set_idt(0x20, gate(kNew, 0, 0x85));
    event.set_idt(1, gate(World::kCode0, 0x901, 0x8E));
    REQUIRE(deliver(event.vcpu, event.memory, {.kind = EventKind::external_interrupt, .vector = 0x20}) == Delivery::delivered);
    CHECK(event.vcpu.rip == 0x901);
    CHECK(event.top(0) == 0x5000);
    CHECK(event.top(2) == (0x3202 | flag::nt));
}

TEST_CASE("16-bit TSSs", "[task]") {
    World world = two_tasks();
    FlatMemory& memory = world.memory;
    constexpr std::uint32_t kOld = World::kTss16;
    memory.put(kOld + 0x0E, 0x600, 2);
    memory.put(kOld + 0x10, 0x0202, 2);
    for (unsigned i = 0; i < 8; ++i) memory.put(kOld + 0x12 + 2 * i, 0x5550 + i, 2);
    const std::uint16_t selectors[] = {World::kData16, World::kCode16, World::kStack16, World::kData0, World::kLdtSelector};
    for (unsigned i = 0; i < 5; ++i) memory.put(kOld + 0x22 + 2 * i, selectors[i], 2);
    memory.put(kOld + 0x64, 1, 2);  // no T bit there
    REQUIRE_FALSE(far_call(world.vcpu, world.memory, World::kTss16Selector, 0, 2));
    CHECK(world.vcpu.rip == 0x600);
    CHECK(world.vcpu.rflags == (0x202 | flag::nt));
    CHECK((world.vcpu.gpr[kRax] & 0xFFFF) == 0x5550);
    CHECK((world.vcpu.gpr[kRdi] & 0xFFFF) == 0x5557);
    CHECK(world.vcpu.segments[kFs].selector == 0);
    CHECK_FALSE(world.vcpu.segments[kGs].present);
    CHECK(world.vcpu.ss().base == 0x10000);
    CHECK(world.vcpu.ldtr.present);
    CHECK(world.vcpu.tr.type == 3);
    CHECK(memory.get(kOld, 2) == World::kTssSelector);
    CHECK(world.entry(World::kTss16Selector) == descriptor(kOld, 0x2B, 0x83, 0));
    const std::uint64_t behind = memory.get(kOld + 0x2A, 8);
    // Out of it again: IP to DS are saved as words, and nothing behind them.
    world.vcpu.gpr[kRcx] = 0x1234ABCD;
    world.vcpu.rip = 0x612;
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 2));
    CHECK(world.vcpu.tr.selector == World::kTssSelector);
    CHECK(memory.get(kOld + 0x0E, 2) == 0x612);
    CHECK(memory.get(kOld + 0x10, 2) == 0x202);
    CHECK(memory.get(kOld + 0x14, 2) == 0xABCD);
    CHECK(memory.get(kOld + 0x28, 2) == World::kData0);
    CHECK(memory.get(kOld + 0x2A, 8) == behind);
    check_saved(world, 0x246, World::kStack0);
}

TEST_CASE("a task in virtual-8086 mode", "[task]") {
    World world = two_tasks();
    world.memory.put(kNewTss + 0x20, 0x100, 4);
    world.memory.put(kNewTss + 0x24, 0x20202, 4);
    for (unsigned i = 0; i < 6; ++i) world.memory.put(kNewTss + 0x48 + 4 * i, 0x1000 + i, 2);
    REQUIRE_FALSE(far_jump(world.vcpu, world.memory, kNew, 0, 4));
    CHECK(world.vcpu.is_v86());
    CHECK(world.vcpu.cpl == 3);
    for (unsigned i = 0; i < 6; ++i) CHECK(world.vcpu.segments[i].base == 0x10000 + 16 * i);
    CHECK(world.vcpu.cs().limit == 0xFFFF);
}

TEST_CASE("a T bit whose #DB task is busy ends in a shutdown", "[task]") {
    // Both descriptors name one TSS with the T bit. The second #DB finds its task busy (#GP), and #GP and #DF have no gates.
    World world = two_tasks();
    for (const std::uint16_t selector : {kNew, World::kTss16Selector}) world.set(selector, descriptor(kNewTss, 0x67, 0x89, 0));
    world.memory.put(kNewTss + 0x64, 1, 2);
    world.set_idt(1, gate(World::kTss16Selector, 0, 0x85));
    world.set_idt(0x20, gate(kNew, 0, 0x85));
    CHECK(deliver(world.vcpu, world.memory, {.kind = EventKind::external_interrupt, .vector = 0x20}) == Delivery::triple_fault);
}
