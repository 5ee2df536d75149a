// SPDX-License-Identifier: Apache-2.0
// Local APIC against the SDM, vol. 3, "Advanced Programmable Interrupt Controller"; I/O APIC against the 82093AA datasheet.
#include <catch2/catch.hpp>

#include <vector>

#include "device_machine.h"
#include "executor/device/ioapic.h"

using namespace trapline::executor;

namespace {

struct Machine {
    HandClock clock;
    LocalApic local{clock, [this](std::uint8_t vector) { io.end(vector); }};
    IoApic io{local};
    std::uint32_t get(std::uint32_t offset) { return local.memory_read(offset, 4); }
    void set(std::uint32_t offset, std::uint32_t value) { local.memory_write(offset, 4, value); }
    std::uint32_t io_get(unsigned reg) {
        io.memory_write(0, 4, reg);
        return io.memory_read(0x10, 4);
    }
    void io_set(unsigned reg, std::uint32_t value) {
        io.memory_write(0, 4, reg);
        io.memory_write(0x10, 4, value);
    }
    void at(Nanoseconds time) { clock.time = time, local.advance(time); }
    /// Vector and end, 0 if nothing waits.
    unsigned serve() {
        if (!local.has_interrupt()) return 0;
        const unsigned vector = local.acknowledge();
        set(0xB0, 0);
        return vector;
    }
};

constexpr std::uint32_t kSelf = 0x40000;  // ICR shorthand

}  // namespace

TEST_CASE("Identity and the state that firmware leaves", "[device]") {
    Machine m;
    CHECK(m.get(0x20) == 0);
    CHECK(m.get(0x30) == 0x00050014);  // six local vectors, integrated APIC
    CHECK(m.get(0xE0) == 0xFFFFFFFF);
    CHECK((m.get(0xF0) & 0x100) != 0);
    CHECK(m.get(0x320) == 0x10000);
    CHECK(m.get(0x350) == 0x700);  // MP specification 3.6.2.1: virtual wire by LINT0
    CHECK(m.get(0x360) == 0x400);
    CHECK(m.local.passes_external());
    CHECK_FALSE(m.local.has_interrupt());
    m.set(0x20, 0x05000000);
    CHECK(m.get(0x20) == 0x05000000);
    m.set(0x20, 0);
}

TEST_CASE("Priorities: the class of what is served, or the task's, holds back", "[device]") {
    Machine m;
    m.set(0x300, kSelf | 0x41);
    m.set(0x300, kSelf | 0x52);
    CHECK(m.get(0x200 + 0x10 * 2) == (1u << (0x41 - 0x40) | 1u << (0x52 - 0x40)));
    REQUIRE(m.local.has_interrupt());
    CHECK(m.local.acknowledge() == 0x52);
    CHECK(m.get(0xA0) == 0x50);
    CHECK(m.get(0x100 + 0x10 * 2) == 1u << (0x52 - 0x40));
    CHECK_FALSE(m.local.has_interrupt());
    m.set(0x300, kSelf | 0x5F);  // the same class
    CHECK_FALSE(m.local.has_interrupt());
    m.set(0x300, kSelf | 0x60);
    CHECK(m.serve() == 0x60);
    m.set(0xB0, 0);
    CHECK(m.serve() == 0x5F);
    m.set(0x80, 0x4F);
    CHECK(m.get(0xA0) == 0x4F);
    CHECK_FALSE(m.local.has_interrupt());
    m.set(0x80, 0x3F);
    CHECK(m.serve() == 0x41);
    CHECK(m.local.acknowledge() == (m.get(0xF0) & 0xFF));  // spurious
}

TEST_CASE("Self interrupts by shorthand and by destination", "[device]") {
    Machine m;
    m.set(0xD0, 0x04000000);
    const struct { std::uint32_t high, low; bool arrives; } rows[] = {
        {0, 0x40000, true},            // self
        {0, 0x80000, true},            // all with self
        {0, 0xC0000, false},           // all but self
        {0, 0x00000, true},            // physical 0
        {0x01000000, 0x00000, false},  // physical 1
        {0xFF000000, 0x00000, true},   // broadcast
        {0x04000000, 0x00800, true},   // logical, flat
        {0x03000000, 0x00800, false},
        {0, 0x40100, true},            // lowest priority
        {0, 0x40200, false},           // SMI, NMI, INIT go nowhere
        {0, 0x40400, false},
        {0, 0x00500, false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.high, row.low);
        m.set(0x310, row.high);
        m.set(0x300, row.low | 0x33);
        CHECK(m.serve() == (row.arrives ? 0x33u : 0u));
        CHECK((m.get(0x300) & 0x1000) == 0);  // never pending
    }
    m.set(0xE0, 0x0FFFFFFF);  // cluster model
    m.set(0xD0, 0x21000000);
    m.set(0x310, 0x23000000);
    m.set(0x300, 0x833);
    CHECK(m.serve() == 0x33);
    m.set(0x310, 0x13000000);
    m.set(0x300, 0x833);
    CHECK(m.serve() == 0);
}

TEST_CASE("Errors", "[device]") {
    Machine m;
    m.set(0x370, 0xE1);
    m.set(0x300, kSelf | 0x0F);  // vectors below 16 are illegal
    CHECK(m.serve() == 0xE1);
    CHECK(m.get(0x280) == 0);
    m.set(0x280, 0);
    CHECK(m.get(0x280) == 0x20);  // send illegal vector
    m.set(0x280, 0);
    CHECK(m.get(0x280) == 0);
    m.get(0x3F0);
    CHECK(m.serve() == 0xE1);
    m.set(0x280, 0);
    CHECK(m.get(0x280) == 0x80);  // illegal register
    m.set(0x370, 0x05);           // its own vector is illegal: no endless chain
    m.set(0x300, kSelf);
    CHECK_FALSE(m.local.has_interrupt());
}

TEST_CASE("Software-disabled: local vectors are masked, nothing is accepted, what waits stays", "[device]") {
    Machine m;
    m.set(0x300, kSelf | 0x41);
    m.set(0x320, 0x30);
    m.set(0xF0, 0xFF);
    CHECK(m.get(0x320) == 0x10030);
    CHECK(m.get(0x350) == 0x10700);
    CHECK_FALSE(m.local.passes_external());
    m.set(0x320, 0x30);
    CHECK(m.get(0x320) == 0x10030);
    m.set(0x300, kSelf | 0x51);
    CHECK(m.serve() == 0x41);
    CHECK(m.serve() == 0);
}

TEST_CASE("The timer, once and periodic, with each divisor", "[device]") {
    // "Divide Configuration Register": bits 3, 1 and 0.
    const struct { std::uint32_t code; unsigned divisor; } rows[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xA, 128}, {0xB, 1}};
    for (const auto& row : rows) {
        Machine m;
        m.at(5000);
        m.set(0x3E0, row.code);
        m.set(0x320, 0x31);
        m.set(0x380, 1000);
        CHECK(m.local.next_event() == 5000 + 1000 * row.divisor);
        m.at(5000 + 250 * row.divisor);
        CHECK(m.get(0x390) == 750);
        m.at(5000 + 1000 * row.divisor - 1);
        CHECK(m.serve() == 0);
        m.at(5000 + 1000 * row.divisor);
        CHECK(m.serve() == 0x31);
        CHECK(m.get(0x390) == 0);
        CHECK(m.local.next_event() == kNever);
    }
    Machine m;
    m.set(0x3E0, 0xB);
    m.set(0x320, 0x20031);
    m.set(0x380, 1000);
    m.at(1000);
    CHECK(m.serve() == 0x31);
    m.at(1999);
    CHECK(m.get(0x390) == 1);
    CHECK(m.serve() == 0);
    m.at(10'500);  // late ones come once
    CHECK(m.serve() == 0x31);
    CHECK(m.serve() == 0);
    CHECK(m.get(0x390) == 500);
    CHECK(m.local.next_event() == 11'000);
    m.set(0x320, 0x30031);  // masked: it counts on, and asks for no time
    CHECK(m.local.next_event() == kNever);
    m.at(20'250);
    CHECK(m.get(0x390) == 750);
    m.set(0x320, 0x20031);
    CHECK(m.serve() == 0);
    CHECK(m.local.next_event() == 21'000);
    m.set(0x320, 0x31);  // one more shot, then still
    m.at(21'000);
    CHECK(m.serve() == 0x31);
    CHECK(m.get(0x390) == 0);
    m.set(0x320, 0x20031);
    CHECK(m.local.next_event() == kNever);
    m.set(0x380, 0);
    CHECK(m.local.next_event() == kNever);
}

TEST_CASE("LINT0 with a vector of its own", "[device]") {
    Machine m;
    m.set(0x350, 0x38);
    m.local.set_lint0(true);
    m.local.set_lint0(true);
    CHECK(m.serve() == 0x38);
    CHECK(m.serve() == 0);
    m.set(0x350, 0x8038);  // level
    CHECK(m.serve() == 0x38);
    CHECK(m.serve() == 0x38);
    m.local.set_lint0(false);
    CHECK(m.serve() == 0x38);
    CHECK(m.serve() == 0);
}

TEST_CASE("I/O APIC: identity and entries after reset", "[device]") {
    Machine m;
    CHECK(m.io_get(0x01) == 0x00170020);
    for (unsigned i = 0; i < 24; ++i) {
        CHECK(m.io_get(0x10 + 2 * i) == 0x10000);
        CHECK(m.io_get(0x11 + 2 * i) == 0);
    }
    m.io_set(0x10, 0xFFFFFFFF);
    CHECK(m.io_get(0x10) == 0x1AFFF);  // delivery status and remote IRR are read-only
    m.io_set(0x11, 0xFFFFFFFF);
    CHECK(m.io_get(0x11) == 0xFF000000);
    m.io_set(0x40, 1);
    CHECK(m.io_get(0x40) == 0);
}

TEST_CASE("I/O APIC: edges", "[device]") {
    Machine m;
    m.io.set_input(4, true);
    m.io_set(0x18, 0x34);  // an edge at a masked input is lost
    CHECK(m.serve() == 0);
    m.io.set_input(4, false);
    m.io.set_input(4, true);
    CHECK(m.serve() == 0x34);
    CHECK(m.serve() == 0);
    m.io_set(0x19, 0x01000000);  // another processor
    m.io.set_input(4, false), m.io.set_input(4, true);
    CHECK(m.serve() == 0);
    m.io_set(0x10, 0x700);
    CHECK(m.io.passes_external());
}

TEST_CASE("I/O APIC: levels stand until EOI, and come back while the line does", "[device]") {
    Machine m;
    m.io_set(0x1A, 0x8035);
    m.io.set_input(5, true);
    CHECK((m.io_get(0x1A) & 0x4000) != 0);  // remote IRR
    REQUIRE(m.local.has_interrupt());
    CHECK(m.local.acknowledge() == 0x35);
    CHECK(m.get(0x180 + 0x10) == 1u << (0x35 - 0x20));
    CHECK_FALSE(m.local.has_interrupt());
    m.set(0xB0, 0);
    CHECK(m.local.has_interrupt());
    m.local.acknowledge();
    m.io.set_input(5, false);
    m.set(0xB0, 0);
    CHECK_FALSE(m.local.has_interrupt());
    CHECK((m.io_get(0x1A) & 0x4000) == 0);
    m.io_set(0x1A, 0x18035);
    m.io.set_input(5, true);
    CHECK_FALSE(m.local.has_interrupt());
    m.io_set(0x1A, 0x8035);  // unmasked while high
    CHECK(m.local.has_interrupt());
    m.io.set_input(5, false);
    m.io.memory_write(0x40, 4, 0x35);  // directed EOI
    CHECK((m.io_get(0x1A) & 0x4000) == 0);
}
