// SPDX-License-Identifier: Apache-2.0
// Segment loads, descriptor queries and port access: expected values are those of the pseudocode and exception lists of SDM
// vol. 2 (MOV, LLDT, LTR, LAR, LSL, VERR, IN).
#include "tests/unit/executor/flat_memory.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr Vector kGp = Vector::general_protection, kNp = Vector::not_present, kSsFault = Vector::stack_fault;
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
