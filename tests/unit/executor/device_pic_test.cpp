// SPDX-License-Identifier: Apache-2.0
// The 8259A pair against Intel's datasheet (231468, "8259A Programmable Interrupt Controller"); section names are its own.
#include <catch2/catch.hpp>

#include "executor/device/pic.h"

using namespace trapline::executor;

namespace {

struct Machine {
    PicPair pic;
    explicit Machine(std::uint8_t master_icw4 = 0x01, std::uint8_t slave_icw4 = 0x01) {
        out(0x20, 0x11), out(0x21, 0x20), out(0x21, 0x04), out(0x21, master_icw4);
        out(0xA0, 0x11), out(0xA1, 0x28), out(0xA1, 0x02), out(0xA1, slave_icw4);
    }
    void out(std::uint16_t port, std::uint8_t value) { pic.port_out(port, 1, value); }
    unsigned in(std::uint16_t port) { return pic.port_in(port, 1); }
    void pulse(unsigned line) { pic.set_line(line, false), pic.set_line(line, true); }
    unsigned irr() { out(0x20, 0x0A); return in(0x20); }
    unsigned isr() { out(0x20, 0x0B); return in(0x20); }
};

}  // namespace

TEST_CASE("The mask is written and read back", "[device]") {
    Machine m;
    for (unsigned value = 0; value < 256; ++value) {
        m.out(0x21, static_cast<std::uint8_t>(value));
        m.out(0xA1, static_cast<std::uint8_t>(~value));
        REQUIRE(m.in(0x21) == value);
        REQUIRE(m.in(0xA1) == (~value & 0xFF));
    }
}

TEST_CASE("Fully nested mode: higher priorities interrupt, others wait for EOI", "[device]") {
    Machine m;
    CHECK_FALSE(m.pic.has_interrupt());
    m.pulse(3);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.irr() == 0x08);
    CHECK(m.pic.acknowledge() == 0x23);
    CHECK(m.irr() == 0);
    CHECK(m.isr() == 0x08);
    m.pulse(4);
    CHECK_FALSE(m.pic.has_interrupt());
    m.pulse(3);
    CHECK_FALSE(m.pic.has_interrupt());
    m.pulse(1);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x21);
    m.out(0x20, 0x20);  // non-specific EOI: of IR1
    CHECK(m.isr() == 0x08);
    CHECK_FALSE(m.pic.has_interrupt());
    m.out(0x20, 0x63);  // specific EOI of IR3
    CHECK(m.pic.acknowledge() == 0x23);
    m.out(0x20, 0x20);
    CHECK(m.pic.acknowledge() == 0x24);
}

TEST_CASE("A request that goes before INTA is lost, and INTA without a request is spurious", "[device]") {
    Machine m;
    m.pulse(5);
    m.pic.set_line(5, false);
    CHECK_FALSE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x27);  // "DEFAULT IR7"
    CHECK(m.isr() == 0);                 // "a default IR7 ... does not set the corresponding ISR bit"
}

TEST_CASE("Edges count once, levels as long as they stand", "[device]") {
    Machine m;
    m.pulse(5);
    m.pic.acknowledge();
    m.out(0x20, 0x20);
    CHECK_FALSE(m.pic.has_interrupt());  // still high: no new edge

    m.out(0x4D0, 0xFF), m.out(0x4D1, 0xFF);
    CHECK(m.in(0x4D0) == 0xF8);  // PIIX4: IRQ 0, 1, 2, 8 and 13 stay edge-triggered
    CHECK(m.in(0x4D1) == 0xDE);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x25);
    m.out(0x20, 0x20);
    CHECK(m.pic.has_interrupt());
    m.pic.set_line(5, false);
    CHECK_FALSE(m.pic.has_interrupt());
}

TEST_CASE("The slave asks through IR2", "[device]") {
    Machine m;
    m.pulse(12);
    m.pulse(9);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x29);
    CHECK(m.isr() == 0x04);
    CHECK_FALSE(m.pic.has_interrupt());
    m.out(0xA0, 0x20);  // the slave asks again, the master's IR2 is still in service
    CHECK_FALSE(m.pic.has_interrupt());
    m.out(0x20, 0x62);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x2C);
    m.pulse(8);  // more urgent within the slave, held back by the master: fully nested mode
    CHECK_FALSE(m.pic.has_interrupt());
}

TEST_CASE("Special fully nested mode lets the slave's higher priorities through", "[device]") {
    Machine m(0x11);
    m.pulse(12);
    CHECK(m.pic.acknowledge() == 0x2C);
    m.pulse(8);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x28);
    m.pulse(3);
    CHECK_FALSE(m.pic.has_interrupt());  // lower than IR2
}

TEST_CASE("Automatic EOI leaves nothing in service", "[device]") {
    Machine m(0x03, 0x03);
    m.pulse(10), m.pulse(11), m.pulse(6);
    CHECK(m.pic.acknowledge() == 0x2A);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x2B);
    CHECK(m.pic.acknowledge() == 0x26);
    CHECK(m.isr() == 0);
    CHECK_FALSE(m.pic.has_interrupt());
}

TEST_CASE("Rotation makes the served input the least urgent", "[device]") {
    Machine m;
    m.pulse(0), m.pulse(5);
    CHECK(m.pic.acknowledge() == 0x20);
    m.out(0x20, 0xA0);  // rotate on non-specific EOI: IR0 is lowest now
    m.pulse(0);
    CHECK(m.pic.acknowledge() == 0x25);
    m.out(0x20, 0xE5);  // rotate on specific EOI: IR5 lowest, so IR6, IR7, IR0
    m.pulse(5);
    CHECK(m.pic.acknowledge() == 0x20);
    m.out(0x20, 0x60);
    m.out(0x20, 0xC4);  // set priority: IR4 lowest, IR5 highest
    m.pulse(0);
    CHECK(m.pic.acknowledge() == 0x25);

    Machine automatic(0x03);
    automatic.out(0x20, 0x80);  // rotate in automatic EOI mode
    automatic.pulse(1), automatic.pulse(3);
    CHECK(automatic.pic.acknowledge() == 0x21);
    automatic.pulse(1);
    CHECK(automatic.pic.acknowledge() == 0x23);
}

TEST_CASE("Special mask mode lets every unmasked input through", "[device]") {
    Machine m;
    m.pulse(1);
    m.pic.acknowledge();
    m.pulse(6);
    CHECK_FALSE(m.pic.has_interrupt());
    m.out(0x20, 0x68);  // OCW3: set special mask
    m.out(0x21, 0x02);  // mask the one in service
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x26);
    m.out(0x20, 0x20);  // non-specific EOI does not see IR1
    CHECK(m.isr() == 0x02);
    m.out(0x20, 0x20);
    CHECK(m.isr() == 0x02);
    m.out(0x20, 0x48);  // back
    m.out(0x20, 0x20);
    CHECK(m.isr() == 0);
}

TEST_CASE("A poll is an acknowledge", "[device]") {
    Machine m;
    m.out(0x20, 0x0C);
    CHECK(m.in(0x20) == 0);
    m.pulse(4);
    m.out(0x20, 0x0C);
    CHECK(m.in(0x20) == 0x84);
    CHECK(m.isr() == 0x10);
    m.pulse(9);
    m.out(0xA0, 0x0C);
    CHECK(m.in(0xA0) == 0x81);
    m.out(0x20, 0x20);
    CHECK_FALSE(m.pic.has_interrupt());  // the slave's request is taken
}

TEST_CASE("ICW1 starts anew: no mask, no requests, nothing in service, and nothing until the last word", "[device]") {
    Machine m;
    m.pulse(3), m.pic.acknowledge();
    m.pulse(1);
    m.out(0x21, 0xFF);
    m.out(0x20, 0x11);
    CHECK(m.in(0x21) == 0);
    CHECK(m.in(0x20) == 0);  // IRR, and the edge must come again
    m.out(0x21, 0x47);
    m.pulse(6);
    CHECK_FALSE(m.pic.has_interrupt());
    m.out(0x21, 0x04), m.out(0x21, 0x01);
    REQUIRE(m.pic.has_interrupt());
    CHECK(m.pic.acknowledge() == 0x46);  // T7 to T3 of ICW2 count
}
