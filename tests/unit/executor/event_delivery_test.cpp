// SPDX-License-Identifier: Apache-2.0
// Delivery of events: frames, flags and error codes by the pseudocode of SDM vol. 2 (INT n) and the tables of vol. 3,
// "Interrupt and Exception Handling".
#include "tests/unit/executor/flat_memory.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kNp = Vector::not_present, kSsFault = Vector::stack_fault, kTs = Vector::invalid_tss;
constexpr std::uint16_t kFree = World::kFree, kFree2 = World::kFree2;
constexpr std::uint32_t kHandler = 0x12345;
// Access bytes of gates: P, DPL, type.
constexpr std::uint64_t kInterrupt32 = 0x8E, kTrap32 = 0x8F, kInterrupt16 = 0x86, kTrap16 = 0x87, kForUser = 0x60;

Event interrupt(std::uint8_t vector) { return {.kind = EventKind::external_interrupt, .vector = vector}; }
Event software(std::uint8_t vector) { return {.kind = EventKind::software_interrupt, .vector = vector, .instruction_length = 2}; }
Event exception(Vector vector, std::optional<std::uint32_t> error_code = {}, std::uint64_t address = 0) {
    return {.kind = EventKind::fault, .vector = static_cast<std::uint8_t>(vector), .error_code = error_code, .address = address};
}

}  // namespace

TEST_CASE("a page fault of ring 3 arrives in ring 0", "[event]") {
    World world(3);
    world.vcpu.rflags = 0x3F02 | flag::nt;
    world.vcpu.interrupt_shadow = world.vcpu.halted = true;
    world.set_idt(14, gate(World::kCode0, kHandler, kInterrupt32));
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, exception(Vector::page_fault, 6, 0xDEAD0)));
    CHECK(world.vcpu.cr2 == 0xDEAD0);
    CHECK(world.vcpu.rip == kHandler);
    CHECK(world.vcpu.cpl == 0);
    CHECK(world.vcpu.cs().selector == World::kCode0);
    CHECK(world.vcpu.ss().selector == World::kData0);
    CHECK(world.vcpu.segments[kDs].selector == World::kData3);  // kept, unlike on the way out
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 24);
    CHECK(world.top(0) == 6);
    CHECK(world.top(1) == 0x700);
    CHECK(world.top(2) == World::kCode3);
    CHECK(world.top(3) == 0x17F02);  // RF: the instruction starts again
    CHECK(world.top(4) == World::kStack3);
    CHECK(world.top(5) == World::kData3);
    CHECK(world.vcpu.rflags == 0x3C02);  // TF, IF and NT are clear
    CHECK_FALSE(world.vcpu.interrupt_shadow);
    CHECK_FALSE(world.vcpu.halted);
    // One read each of IDT, code segment, TSS and stack segment, and the frame in one piece.
    CHECK(world.memory.reads == 4);
    CHECK(world.memory.writes == 1);
    CHECK(world.memory.checks == 0);
    // And home.
    world.vcpu.gpr[kRsp] += 4;
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 4));
    CHECK(world.vcpu.gpr[kRsp] == World::kStack3);
    CHECK(world.vcpu.rflags == (0x3F02 | flag::nt | flag::rf));
}

TEST_CASE("gate types differ in width and in IF", "[event]") {
    struct Row {
        std::uint64_t access;
        unsigned width;
        std::uint64_t offset, flags_after;
    };
    for (const Row& row : {Row{kInterrupt32, 4, kHandler, 0x002}, Row{kTrap32, 4, kHandler, 0x202}, Row{kInterrupt16, 2, kHandler & 0xFFFF, 0x002},
                           Row{kTrap16, 2, kHandler & 0xFFFF, 0x202}}) {
        INFO("access " << row.access);
        World world;
        world.vcpu.rflags = 0x40302;
        world.set_idt(0x20, gate(World::kCode0, kHandler, row.access));
        REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, interrupt(0x20)));
        CHECK(world.vcpu.rip == row.offset);
        CHECK(world.vcpu.rflags == (row.flags_after | 0x40000));  // protected mode leaves AC
        CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 3 * row.width);
        CHECK(world.top(0, row.width) == 0x700);
        CHECK(world.top(1, row.width) == World::kCode0);
        CHECK(world.top(2, row.width) == (row.width == 4 ? 0x40302u : 0x302u));
    }
    // A 16-bit gate to an inner ring: five words and the error code as a word.
    World world(3);
    world.set_idt(13, gate(World::kCode0, 0x900, kInterrupt16));
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, exception(kGp, 0x1238)));
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 12);
    CHECK(world.top(0, 2) == 0x1238);
    CHECK(world.top(1, 2) == 0x700);
    CHECK(world.top(4, 2) == World::kStack3);
    CHECK(world.top(5, 2) == World::kData3);
}

TEST_CASE("what the handler's stack shows of RF", "[event]") {
    struct Row {
        Event event;
        bool before, pushed;
    };
    const Row rows[] = {
        {exception(Vector::invalid_opcode), false, true},
        {exception(kGp, 0), false, true},
        {exception(Vector::debug), false, false},  // instruction breakpoint
        {exception(Vector::double_fault, 0), false, false},
        {{.kind = EventKind::trap, .vector = 1}, false, false},
        {interrupt(0x20), false, false},
        {interrupt(0x20), true, true},  // between iterations of a string instruction
        {software(0x20), false, false},
    };
    for (const Row& row : rows) {
        INFO("kind " << static_cast<int>(row.event.kind) << " vector " << int{row.event.vector});
        World world;
        world.vcpu.rflags = flag::fixed | (row.before ? flag::rf : 0);
        world.set_idt(row.event.vector, gate(World::kCode0, 0x900, kTrap32));
        REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, row.event));
        CHECK(world.top(row.event.error_code ? 3 : 2) == (row.pushed ? 0x10002u : 2u));
        CHECK((world.vcpu.rflags & flag::rf) == 0);
    }
}

TEST_CASE("conforming handlers and those of the own ring keep the stack", "[event]") {
    World world(3);
    world.set_idt(3, gate(World::kConforming0, 0x900, kTrap32 | kForUser));
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, software(3)));
    CHECK(world.vcpu.cpl == 3);
    CHECK(world.vcpu.cs().selector == (World::kConforming0 | 3));
    CHECK(world.vcpu.gpr[kRsp] == World::kStack3 - 12);
    // At CPL 3 the frame is the user's access.
    World user(3);
    user.set_idt(0x20, gate(World::kCode3, 0x900, kTrap32));
    user.memory.pages[(World::kStack3 - 1) >> 12] = FlatMemory::Page::supervisor;
    check_fault(user, Vector::page_fault, 7, [&] { return deliver_once(user.vcpu, user.memory, interrupt(0x20)); });
    user.set_idt(0x20, gate(World::kCode0, 0x900, kTrap32));
    CHECK_FALSE(deliver_once(user.vcpu, user.memory, interrupt(0x20)));
    // Ring 3 to ring 1 takes the TSS's second stack.
    World middle(3);
    middle.set_idt(0x20, gate(World::kCode1, 0x900, kTrap32));
    REQUIRE_FALSE(deliver_once(middle.vcpu, middle.memory, interrupt(0x20)));
    CHECK(middle.vcpu.cpl == 1);
    CHECK(middle.vcpu.ss().selector == World::kData1);
    CHECK(middle.vcpu.gpr[kRsp] == World::kStack1 - 20);
}

TEST_CASE("faults of delivery, with EXT and IDT bits", "[event]") {
    struct Row {
        const char* name;
        std::uint64_t idt, free_entry;
        Event event;
        Vector fault;
        std::uint32_t error_code;
    };
    const std::uint64_t fine = gate(World::kCode0, 0x900, kInterrupt32);
    const Row rows[] = {
        {"no gate", 0, 0, interrupt(0x20), kGp, 0x103},
        {"no gate for INT n", 0, 0, software(0x20), kGp, 0x102},
        {"a call gate", gate(8, 0, 0x8C), 0, interrupt(0x20), kGp, 0x103},
        {"a 32-bit task gate does not exist", gate(8, 0, 0x8D), 0, interrupt(0x20), kGp, 0x103},
        {"a data segment with a gate's type", gate(8, 0, 0x9E), 0, interrupt(0x20), kGp, 0x103},
        {"INT n through the kernel's gate", fine, 0, software(0x20), kGp, 0x102},
        {"INT n, gate missing and the kernel's", gate(8, 0, 0x0E), 0, software(0x20), kGp, 0x102},
        {"gate missing", gate(8, 0, 0x0E), 0, interrupt(0x20), kNp, 0x103},
        {"gate missing for INT n", gate(8, 0, 0x6E), 0, software(0x20), kNp, 0x102},
        {"null code", gate(3, 0, kInterrupt32), 0, interrupt(0x20), kGp, 1},
        {"null code for INT n", gate(0, 0, kInterrupt32 | kForUser), 0, software(0x20), kGp, 0},
        {"code behind the table", gate(0x203, 0, kInterrupt32), 0, exception(kGp, 0), kGp, 0x201},
        {"data as code", gate(World::kData0, 0, kInterrupt32), 0, interrupt(0x20), kGp, 0x11},
        {"code missing", gate(kFree, 0, kInterrupt32), descriptor(0, 0xFFFFF, 0x1B, 0xC), interrupt(0x20), kNp, kFree | 1},
        {"code missing for INT n", gate(kFree, 0, kInterrupt32 | kForUser), descriptor(0, 0xFFFFF, 0x1B, 0xC), software(0x20), kNp, kFree},
        {"handler behind the limit", gate(kFree, 0x1000, kInterrupt32), descriptor(0, 0xFFF, 0x9B, 4), interrupt(0x20), kGp, 1},
        {"handler behind the limit for INT n", gate(kFree, 0x1000, kInterrupt32 | kForUser), descriptor(0, 0xFFF, 0x9B, 4), software(0x20), kGp, 0},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        World world(3);
        world.set_idt(row.event.vector, row.idt);
        world.set(kFree, row.free_entry);
        check_fault(world, row.fault, row.error_code, [&] { return deliver_once(world.vcpu, world.memory, row.event); });
    }
    World outward;  // handlers of an outer ring do not exist
    outward.set_idt(0x20, gate(World::kCode3, 0, kInterrupt32));
    check_fault(outward, kGp, 0x19, [&] { return deliver_once(outward.vcpu, outward.memory, interrupt(0x20)); });
    World edge;
    edge.vcpu.idtr.limit = 0x20 * 8 + 6;
    edge.set_idt(0x20, fine);
    check_fault(edge, kGp, 0x103, [&] { return deliver_once(edge.vcpu, edge.memory, interrupt(0x20)); });
    edge.vcpu.idtr.limit = 0x20 * 8 + 7;
    CHECK_FALSE(deliver_once(edge.vcpu, edge.memory, interrupt(0x20)));
    World full;  // 12 bytes do not fit: the stack ends at 0x9000 - 11
    full.set_idt(0x20, fine);
    full.set(kFree, descriptor(0, World::kStack0 - 12, 0x97, 4));
    full.vcpu.segments[kSs] = full.segment(kFree);
    check_fault(full, kSsFault, 1, [&] { return deliver_once(full.vcpu, full.memory, interrupt(0x20)); });
    check_fault(full, kSsFault, 0, [&] { return deliver_once(full.vcpu, full.memory, software(0x20)); });
}

TEST_CASE("the inner stack is checked before anything changes", "[event]") {
    struct Row {
        const char* name;
        std::uint16_t selector;
        std::uint32_t pointer;
        std::uint64_t entry;
        Vector fault;
        std::uint32_t error_code;
    };
    const Row rows[] = {
        {"null", 0, World::kStack0, 0, kTs, 1},
        {"behind the table", 0x200, World::kStack0, 0, kTs, 0x201},
        {"RPL", World::kData0 | 3, World::kStack0, 0, kTs, 0x11},
        {"DPL", 0x20, World::kStack0, 0, kTs, 0x21},
        {"code", World::kCode0, World::kStack0, 0, kTs, 9},
        {"missing", kFree2, World::kStack0, descriptor(0, 0xFFFFF, 0x13, 0xC), kSsFault, kFree2 | 1},
        {"no room for 20 bytes", kFree2, 19, descriptor(0x8000, 0xFFF, 0x93, 4), kSsFault, kFree2 | 1},
        {"page missing", World::kData0, 0xC014, 0, Vector::page_fault, 2},
        {"page missing below", World::kData0, 0xD004, 0, Vector::page_fault, 2},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        World world(3);
        world.set_idt(0x20, gate(World::kCode0, 0x900, kInterrupt32));
        world.set(kFree2, row.entry);
        world.memory.pages[0xC] = FlatMemory::Page::missing;
        world.memory.put(World::kTss + 4, row.pointer, 4), world.memory.put(World::kTss + 8, row.selector, 2);
        check_fault(world, row.fault, row.error_code, [&] { return deliver_once(world.vcpu, world.memory, interrupt(0x20)); });
    }
    World world(3);
    world.set_idt(0x20, gate(World::kCode0, 0x900, kInterrupt32));
    world.vcpu.tr.limit = 8;
    check_fault(world, kTs, World::kTssSelector | 1, [&] { return deliver_once(world.vcpu, world.memory, interrupt(0x20)); });
    world.vcpu.tr.limit = 9;
    CHECK_FALSE(deliver_once(world.vcpu, world.memory, interrupt(0x20)));
}

TEST_CASE("events of virtual-8086 mode", "[event]") {
    World world;
    world.enter_v86(0);
    world.set_idt(0x20, gate(World::kCode0, kHandler, kInterrupt32));
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, interrupt(0x20)));
    CHECK_FALSE(world.vcpu.is_v86());
    CHECK(world.vcpu.cpl == 0);
    CHECK(world.vcpu.gpr[kRsp] == World::kStack0 - 36);
    const std::uint32_t frame[] = {0x100, 0x1234, 0x20202, 0x1000, 0x2000, 0x1001, 0x1003, 0x1004, 0x1005};
    for (unsigned i = 0; i < 9; ++i) CHECK(world.top(i) == frame[i]);
    for (const SegmentRegister which : {kEs, kDs, kFs, kGs}) {
        CHECK(world.vcpu.segments[which].selector == 0);
        CHECK_FALSE(world.vcpu.segments[which].present);
    }
    CHECK(world.vcpu.rflags == 2);
    REQUIRE_FALSE(interrupt_return(world.vcpu, world.memory, 4));
    CHECK(world.vcpu.is_v86());
    CHECK(world.vcpu.segments[kGs].base == 0x10050);

    // Handlers of other rings than 0 and conforming ones cannot be reached.
    for (const std::uint16_t code : {World::kCode1, World::kCode3, World::kConforming0}) {
        World bad;
        bad.enter_v86(3);
        bad.set_idt(0x20, gate(code, 0, kInterrupt32));
        check_fault(bad, kGp, (code & 0xFFFCu) | 1, [&] { return deliver_once(bad.vcpu, bad.memory, interrupt(0x20)); });
    }
    // INT n needs IOPL 3 and then a gate for ring 3; INT3 and INTO do not look at IOPL.
    World sensitive;
    sensitive.enter_v86(2);
    for (const std::uint8_t vector : {3, 4, 0x20}) sensitive.set_idt(vector, gate(World::kCode0, 0x900, kInterrupt32 | kForUser));
    check_fault(sensitive, kGp, 0, [&] { return deliver_once(sensitive.vcpu, sensitive.memory, software(0x20)); });
    CHECK_FALSE(deliver_once(sensitive.vcpu, sensitive.memory, software(3)));
    sensitive.enter_v86(2);
    CHECK_FALSE(deliver_once(sensitive.vcpu, sensitive.memory, software(4)));
    sensitive.enter_v86(3);
    CHECK_FALSE(deliver_once(sensitive.vcpu, sensitive.memory, software(0x20)));
    sensitive.enter_v86(3);
    sensitive.set_idt(0x20, gate(World::kCode0, 0x900, kInterrupt32));
    check_fault(sensitive, kGp, 0x102, [&] { return deliver_once(sensitive.vcpu, sensitive.memory, software(0x20)); });
}

TEST_CASE("events of real mode go through the IVT", "[event]") {
    World world;
    world.vcpu.cr0 &= ~cr0::pe;
    for (unsigned i = 0; i < 6; ++i) world.vcpu.segments[i] = Segment{};
    load_real_segment(world.vcpu, kCs, 0x70);
    world.vcpu.idtr = {0, 0x3FF};
    world.vcpu.gpr[kRsp] = 0x8000;
    world.vcpu.rflags = 0x40302;
    world.memory.put(0x80, 0xF0001234, 4);
    Event event = exception(kGp, 0);
    event.vector = 0x20;
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, event));
    CHECK(world.vcpu.cs().base == 0xF0000);
    CHECK(world.vcpu.rip == 0x1234);
    CHECK(world.vcpu.gpr[kRsp] == 0x7FFA);  // no error code
    CHECK(world.top(0, 2) == 0x700);
    CHECK(world.top(1, 2) == 0x70);
    CHECK(world.top(2, 2) == 0x302);
    CHECK(world.vcpu.rflags == 2);  // IF, TF and AC are clear
    world.vcpu.idtr.limit = 0x20 * 4 + 2;
    const MaybeFault fault = deliver_once(world.vcpu, world.memory, interrupt(0x20));
    REQUIRE(fault);
    CHECK(fault->vector == kGp);
    world.vcpu.gpr[kRsp] = 5;  // FLAGS at 3, CS at 1, IP would straddle
    world.vcpu.idtr.limit = 0x3FF;
    check_fault(world, kSsFault, 0, [&] { return deliver_once(world.vcpu, world.memory, interrupt(0x20)); });
    world.vcpu.idtr.limit = 0;
    CHECK(deliver(world.vcpu, world.memory, interrupt(0x20)) == Delivery::triple_fault);
}

TEST_CASE("entering the handler of #DB clears DR7.GD", "[event]") {
    World world;
    world.set_idt(1, gate(World::kCode0, 0x900, kInterrupt32));
    world.vcpu.dr[7] = 0x2400;
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, software(1)));
    CHECK(world.vcpu.dr[7] == 0x2400);
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, {.kind = EventKind::trap, .vector = 1}));
    CHECK(world.vcpu.dr[7] == 0x400);
}

TEST_CASE("the accessed bits of handler and stack segments get set", "[event]") {
    World world(3);
    world.set(World::kCode0, descriptor(0, 0xFFFFF, 0x9A, 0xC));
    world.set(World::kData0, descriptor(0, 0xFFFFF, 0x92, 0xC));
    world.set_idt(0x20, gate(World::kCode0, 0x900, kInterrupt32));
    REQUIRE_FALSE(deliver_once(world.vcpu, world.memory, interrupt(0x20)));
    CHECK(world.entry(World::kCode0) == descriptor(0, 0xFFFFF, 0x9B, 0xC));
    CHECK(world.entry(World::kData0) == descriptor(0, 0xFFFFF, 0x93, 0xC));
    CHECK(world.vcpu.ss().type == 3);
}

TEST_CASE("a fault of INT n points at the INT", "[event]") {
    World world(3);
    world.vcpu.rip = 0x702;
    world.set_idt(13, gate(World::kCode0, kHandler, kInterrupt32));
    REQUIRE(deliver(world.vcpu, world.memory, software(0x80)) == Delivery::delivered);
    CHECK(world.vcpu.rip == kHandler);
    CHECK(world.top(0) == 0x402);
    CHECK(world.top(1) == 0x700);
    CHECK(world.top(3) == 0x10002);
    // INT 13 is no exception: its fault is the first one, not the second of a double fault.
    World same(3);
    same.vcpu.rip = 0x702;
    same.set_idt(13, gate(World::kCode0, kHandler, kInterrupt32));
    REQUIRE(deliver(same.vcpu, same.memory, software(13)) == Delivery::delivered);
    CHECK(same.top(0) == 0x6A);
    CHECK(same.top(1) == 0x700);
}

TEST_CASE("second faults: in turn, double, or shutdown", "[event]") {
    // The gate of `first` is missing (#NP, contributory) or points to a code segment whose page is missing (#PF).
    struct Row {
        const char* name;
        Event first;
        bool second_is_page_fault;
        int handled;  ///< vector whose handler runs, or -1: the #DF gate is missing too
    };
    const Row rows[] = {
        {"interrupt, then contributory", interrupt(0x20), false, 11},
        {"interrupt, then page fault", interrupt(0x20), true, 14},
        {"#UD, then contributory", exception(Vector::invalid_opcode), false, 11},
        {"#UD, then page fault", exception(Vector::invalid_opcode), true, 14},
        {"#DE, then contributory", exception(Vector::divide_error), false, 8},
        {"#DE, then page fault", exception(Vector::divide_error), true, 14},
        {"#GP, then contributory", exception(kGp, 0), false, 8},
        {"#GP, then page fault", exception(kGp, 0), true, 14},
        {"#AC, then contributory", exception(Vector::alignment_check, 0), false, 11},
        {"#DF, then contributory", exception(Vector::double_fault, 0), false, -1},
        {"#DF, then page fault", exception(Vector::double_fault, 0), true, -1},
    };
    // The LDT's page is missing from the tables: a gate to LDT code page-faults.
    for (const Row& row : rows) {
        INFO(row.name);
        World world(3);
        world.memory.pages[World::kLdt >> 12] = FlatMemory::Page::missing;
        for (const std::uint8_t vector : {8, 10, 11, 12, 13, 14}) world.set_idt(vector, gate(World::kCode0, 0x900u + vector, kInterrupt32));
        world.set_idt(row.first.vector, row.second_is_page_fault ? gate(4, 0, kInterrupt32) : gate(8, 0, 0x0E));
        const Delivery result = deliver(world.vcpu, world.memory, row.first);
        CHECK(result == (row.handled < 0 ? Delivery::triple_fault : Delivery::delivered));
        if (row.handled < 0) continue;
        CHECK(world.vcpu.rip == 0x900u + static_cast<unsigned>(row.handled));
        if (row.handled == 8) CHECK(world.top(0) == 0);
        if (row.handled == 11) CHECK(world.top(0) == row.first.vector * 8u + 3);
        if (row.handled == 14) CHECK(world.vcpu.cr2 == World::kLdt);
    }
    SECTION("a page fault whose delivery faults") {
        World world(3);
        world.set_idt(8, gate(World::kCode0, 0x908, kInterrupt32));
        REQUIRE(deliver(world.vcpu, world.memory, exception(Vector::page_fault, 4, 0x1230)) == Delivery::delivered);
        CHECK(world.vcpu.rip == 0x908);
        CHECK(world.vcpu.cr2 == 0x1230);
        CHECK(world.top(0) == 0);
        CHECK(world.top(1) == 0x700);
    }
    SECTION("a page fault whose stack page faults: CR2 is the second's") {
        World world(3);
        world.set_idt(14, gate(World::kCode0, 0x914, kInterrupt32));
        world.set_idt(8, gate(World::kConforming0, 0x908, kInterrupt32));
        world.memory.pages[(World::kStack0 - 1) >> 12] = FlatMemory::Page::missing;
        REQUIRE(deliver(world.vcpu, world.memory, exception(Vector::page_fault, 4, 0x1230)) == Delivery::delivered);
        CHECK(world.vcpu.rip == 0x908);
        CHECK(world.vcpu.cr2 == World::kStack0 - 20 - 4);
    }
    SECTION("nothing in the IDT at all") {
        World world(3);
        world.vcpu.idtr.limit = 0;
        CHECK(deliver(world.vcpu, world.memory, software(0x80)) == Delivery::triple_fault);
        CHECK(deliver(world.vcpu, world.memory, interrupt(0x20)) == Delivery::triple_fault);
    }
}
