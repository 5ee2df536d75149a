// SPDX-License-Identifier: Apache-2.0
// Segment loads, far transfers, returns and port access: expected values are those of the pseudocode and exception lists of SDM
// vol. 2 (MOV, LLDT, LTR, LAR, JMP, CALL, RET, IRET).
#include "tests/unit/executor/flat_memory.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kNp = Vector::not_present, kSsFault = Vector::stack_fault, kTs = Vector::invalid_tss;
constexpr std::uint16_t kFree = World::kFree;

struct SegmentCase {
    const char* name;
    std::uint8_t cpl;
    SegmentRegister which;
    std::uint16_t selector;
    std::uint64_t free_entry;  ///< what stands at World::kFree
    std::optional<Vector> fault;
    std::uint32_t error_code = 0;
};

const SegmentCase kSegmentCases[] = {
    {"null into DS", 3, kDs, 0, 0, {}},
    {"null with an RPL into GS", 3, kGs, 3, 0, {}},
    {"null into SS", 0, kSs, 0, 0, kGp, 0},
    {"data of the own ring", 3, kDs, World::kData3, 0, {}},
    {"an outer ring's data from ring 0", 0, kEs, World::kData3, 0, {}},
    {"RPL above DPL", 0, kEs, World::kData0 | 1, 0, kGp, 0x10},
    {"CPL above DPL", 3, kEs, World::kData0, 0, kGp, 0x10},
    {"readable code", 0, kFs, World::kCode0, 0, {}},
    {"execute-only code", 0, kFs, kFree, descriptor(0, 1, 0x99, 4), kGp, kFree},
    {"conforming readable code from ring 3", 3, kFs, World::kConforming0 | 3, 0, {}},
    {"a TSS", 0, kDs, World::kTssSelector, 0, kGp, 0x30},
    {"missing data", 0, kDs, kFree, descriptor(0, 1, 0x13, 4), kNp, kFree},
    {"missing data of a wrong ring", 3, kDs, kFree, descriptor(0, 1, 0x13, 4), kGp, kFree},
    {"behind the GDT", 0, kDs, 0x100, 0, kGp, 0x100},
    {"last entry of the LDT", 3, kDs, 0x1F, 0, kGp, 0x1C},  // in the table, but empty: a system descriptor
    {"entry 0 of the LDT", 3, kDs, 7, 0, {}},
    {"behind the LDT", 3, kDs, 0x27, 0, kGp, 0x24},
    {"stack", 3, kSs, World::kData3, 0, {}},
    {"stack with another RPL", 3, kSs, 0x20, 0, kGp, 0x20},
    {"stack of another ring", 0, kSs, 0x20, 0, kGp, 0x20},
    {"read-only stack", 0, kSs, kFree, descriptor(0, 1, 0x91, 4), kGp, kFree},
    {"code as stack", 0, kSs, World::kCode0, 0, kGp, 8},
    {"missing stack", 0, kSs, kFree, descriptor(0, 1, 0x13, 4), kSsFault, kFree},
};

Fault require_fault(const MaybeFault& fault) {
    REQUIRE(fault.has_value());
    return *fault;
}

}  // namespace

TEST_CASE("a descriptor's fields are read as the manual's figure places them", "[protection]") {
    const Segment segment = parse_descriptor(0xA1DC'F6B2'C3D4'1234);
    CHECK(segment.base == 0xA1B2C3D4);
    CHECK(segment.limit == 0xC1234FFF);
    CHECK(segment.type == 6);
    CHECK_FALSE(segment.system);
    CHECK(segment.dpl == 3);
    CHECK(segment.present);
    CHECK(segment.available);
    CHECK(segment.big);
    CHECK(segment.granular);
    CHECK(segment.is_expand_down());
    const Segment table = parse_descriptor(descriptor(0x10, 0xABCDE, 0x02, 0));
    CHECK(table.limit == 0xABCDE);
    CHECK(table.system);
    CHECK_FALSE(table.present);
}

TEST_CASE("segment loads", "[protection]") {
    for (const SegmentCase& row : kSegmentCases) {
        INFO(row.name);
        World world(row.cpl);
        world.set(kFree, row.free_entry);
        const auto load = [&] { return load_segment(world.vcpu, world.memory, row.which, row.selector); };
        if (row.fault) {
            check_fault(world, *row.fault, row.error_code, load);
        } else {
            CHECK_FALSE(load());
            CHECK(world.vcpu.segments[row.which].selector == row.selector);
            CHECK(world.vcpu.segments[row.which].present == ((row.selector & 0xFFFC) != 0));
        }
    }
}

TEST_CASE("the accessed bit is set once", "[protection]") {
    World world;
    world.set(kFree, descriptor(0x1234, 0x10, 0x92, 4));
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kDs, kFree));
    CHECK(world.entry(kFree) == descriptor(0x1234, 0x10, 0x93, 4));
    CHECK(world.vcpu.segments[kDs].type == 3);
    CHECK(world.memory.writes == 1);
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kDs, kFree));
    CHECK(world.memory.writes == 1);
    CHECK(world.memory.reads == 2);

    world.set(kFree, descriptor(0x1234, 0x10, 0x92, 4));
    world.memory.pages[World::kGdt >> 12] = FlatMemory::Page::read_only;
    check_fault(world, Vector::page_fault, 3, [&] { return load_segment(world.vcpu, world.memory, kEs, kFree); });
}

TEST_CASE("a missing descriptor table is the supervisor's page fault", "[protection]") {
    World world(3);
    world.memory.pages[World::kGdt >> 12] = FlatMemory::Page::missing;
    const Fault fault = require_fault(load_segment(world.vcpu, world.memory, kDs, World::kData3));
    CHECK(fault.vector == Vector::page_fault);
    CHECK(fault.error_code == 0u);
    CHECK(fault.address == 0x1020);
}

TEST_CASE("real and virtual-8086 mode load paragraphs", "[protection]") {
    World world;
    world.vcpu.cr0 &= ~cr0::pe;
    world.vcpu.segments[kDs].limit = 0xFFFFFFFF;
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kDs, 0xB800));
    CHECK(world.vcpu.segments[kDs].base == 0xB8000);
    CHECK(world.vcpu.segments[kDs].limit == 0xFFFFFFFF);
    world.vcpu.cr0 |= cr0::pe;
    world.enter_v86(3);
    REQUIRE_FALSE(load_segment(world.vcpu, world.memory, kDs, 0xFFFF));
    CHECK(world.vcpu.segments[kDs].base == 0xFFFF0);
    CHECK(world.vcpu.segments[kDs].limit == 0xFFFF);
    CHECK(world.vcpu.segments[kDs].dpl == 3);
}

TEST_CASE("LLDT and LTR", "[protection]") {
    const auto ldt = [](World& world, std::uint16_t selector) { return [&world, selector] { return load_ldtr(world.vcpu, world.memory, selector); }; };
    const auto tr = [](World& world, std::uint16_t selector) { return [&world, selector] { return load_tr(world.vcpu, world.memory, selector); }; };
    World world;
    REQUIRE_FALSE(load_ldtr(world.vcpu, world.memory, 0));
    CHECK_FALSE(world.vcpu.ldtr.present);
    check_fault(world, kGp, 4, [&] { return load_segment(world.vcpu, world.memory, kDs, 7); });  // no LDT, no entry 0
    REQUIRE_FALSE(load_ldtr(world.vcpu, world.memory, World::kLdtSelector));
    CHECK(world.vcpu.ldtr.base == World::kLdt);
    check_fault(world, kGp, World::kLdtSelector | 4, ldt(world, World::kLdtSelector | 4));
    check_fault(world, kGp, World::kData0, ldt(world, World::kData0));
    check_fault(world, kGp, 0x200, ldt(world, 0x200));
    world.set(kFree, descriptor(0, 7, 0x02, 0));
    check_fault(world, kNp, kFree, ldt(world, kFree));

    check_fault(world, kGp, 0, tr(world, 3));
    check_fault(world, kGp, World::kTssSelector, tr(world, World::kTssSelector));  // busy
    check_fault(world, kGp, World::kNewTssSelector | 4, tr(world, World::kNewTssSelector | 4));
    world.set(kFree, descriptor(0, 0x67, 0x09, 0));
    check_fault(world, kNp, kFree, tr(world, kFree));
    REQUIRE_FALSE(load_tr(world.vcpu, world.memory, World::kNewTssSelector));
    CHECK(world.vcpu.tr.type == 11);
    CHECK(world.entry(World::kNewTssSelector) == descriptor(World::kNewTss, 0x67, 0x8B, 0));
    REQUIRE_FALSE(load_tr(world.vcpu, world.memory, World::kTss16Selector));
    CHECK(world.vcpu.tr.type == 3);
}

TEST_CASE("LAR, LSL, VERR and VERW", "[protection]") {
    struct Row {
        std::uint8_t cpl;
        DescriptorQuery query;
        std::uint16_t selector;
        std::uint64_t free_entry;
        bool found;
        std::uint32_t value = 0;
    };
    constexpr auto kLar = DescriptorQuery::access_rights, kLsl = DescriptorQuery::limit, kVerr = DescriptorQuery::readable, kVerw = DescriptorQuery::writable;
    const Row rows[] = {
        {3, kLar, 0, 0, false},
        {3, kLar, 0x103, 0, false},
        {3, kLar, World::kData3, 0, true, 0x00CFF300},  // as Linux's user data at ring 3, seen on an AMD EPYC
        {3, kLar, World::kData0, 0, false},
        {0, kLar, World::kData0 | 3, 0, false},
        {3, kLar, World::kConforming0 | 3, 0, true, 0x00CF9F00},
        {0, kLar, kFree, descriptor(0, 0x12345, 0x13, 4), true, 0x00411300},  // not present: answered all the same
        {0, kLar, kFree, gate(8, 0, 0x8C), true, 0x00008C00},
        {0, kLsl, kFree, gate(8, 0, 0x8C), false},
        {0, kLar, kFree, gate(8, 0, 0x85), true, 0x00008500},
        {0, kLar, kFree, gate(8, 0, 0x8E), false},  // interrupt gate
        {0, kLar, kFree, gate(8, 0, 0x87), false},
        {0, kLar, kFree, descriptor(0, 0, 0x80, 0), false},
        {0, kLar, kFree, descriptor(0, 0, 0x8A, 0), false},
        {0, kLsl, World::kTssSelector, 0, true, 0x67},
        {0, kLsl, World::kLdtSelector, 0, true, 0x1F},
        {3, kLsl, World::kLdtSelector, 0, false},
        {0, kLsl, World::kData0, 0, true, 0xFFFFFFFF},
        {0, kLsl, kFree, descriptor(0, 2, 0x93, 8), true, 0x2FFF},
        {3, kVerr, World::kData3, 0, true},
        {3, kVerw, World::kData3, 0, true},
        {3, kVerr, World::kCode3, 0, true},
        {3, kVerw, World::kCode3, 0, false},
        {3, kVerr, World::kConforming0 | 3, 0, true},
        {3, kVerr, World::kData0, 0, false},
        {0, kVerr, kFree, descriptor(0, 0, 0x99, 4), false},
        {0, kVerw, kFree, descriptor(0, 0, 0x91, 4), false},
        {0, kVerr, World::kTssSelector, 0, false},
        {0, kVerw, 0, 0, false},
    };
    for (const Row& row : rows) {
        World world(row.cpl);
        world.set(kFree, row.free_entry);
        INFO("query " << static_cast<int>(row.query) << " of " << row.selector << " at CPL " << int{row.cpl} << ", entry " << std::hex << row.free_entry);
        // Bits 19:16 of the free entry's LAR answer come from its limit, 1.
        QueryAnswer answer;
        CHECK_FALSE(query_descriptor(world.vcpu, world.memory, row.query, row.selector, answer));
        CHECK(answer.found == row.found);
        CHECK(answer.value == row.value);
        CHECK(world.memory.writes == 0);
    }
    World world;
    world.memory.pages[World::kGdt >> 12] = FlatMemory::Page::missing;
    QueryAnswer answer;
    check_fault(world, Vector::page_fault, 0, [&] { return query_descriptor(world.vcpu, world.memory, kLar, 8, answer); });
}

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

TEST_CASE("ports are free below IOPL, else by the map", "[protection]") {
    World world(3);
    const auto access = [&](std::uint16_t port, unsigned size) { return check_port_access(world.vcpu, world.memory, port, size); };
    check_fault(world, kGp, 0, [&] { return access(0x80, 1); });  // the TSS ends before a map
    world.vcpu.rflags |= 3 << 12;
    CHECK_FALSE(access(0x80, 1));
    world.enter_v86(3);  // IOPL does not count
    check_fault(world, kGp, 0, [&] { return access(0x80, 1); });
    world.vcpu.tr.limit = 0x68 + 0x10 + 1;
    world.memory.put(World::kTss + 0x66, 0x68, 2);
    world.memory.put(World::kTss + 0x68 + 0x10, 0x81, 1);
    world.memory.put(World::kTss + 0x68 + 0x0F, 0x00, 1);
    check_fault(world, kGp, 0, [&] { return access(0x80, 1); });
    CHECK_FALSE(access(0x81, 1));
    CHECK_FALSE(access(0x81, 4));
    check_fault(world, kGp, 0, [&] { return access(0x84, 4); });  // bit 7
    CHECK_FALSE(access(0x7C, 4));
    check_fault(world, kGp, 0, [&] { return access(0x7E, 4); });  // its third port is 0x80
    check_fault(world, kGp, 0, [&] { return access(0x88, 1); });  // the byte behind it is beyond the limit
    world.vcpu.tr = world.segment(World::kTss16Selector);
    world.vcpu.tr.limit = 0xFFFF;
    check_fault(world, kGp, 0, [&] { return access(0x81, 1); });
    world.vcpu.cr0 &= ~cr0::pe;
    CHECK_FALSE(access(0x80, 1));
}
