// SPDX-License-Identifier: Apache-2.0
// The PC as a guest meets it: wiring, what firmware leaves, and what drivers look for at start.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "device_machine.h"
#include "executor/device/pc.h"

using namespace trapline::executor;

namespace {

struct Machine {
    HandClock clock;
    std::string serial;
    Pc pc;
    explicit Machine(bool apic = false)
        : pc(clock, {.memory_size = 64u << 20, .wall_time = 0, .serial_output = [this](std::string_view text) { serial += text; }, .apic = apic}) {}
    void out(std::uint16_t port, unsigned value, unsigned size = 1) { pc.port_out(port, size, value); }
    unsigned in(std::uint16_t port, unsigned size = 1) { return pc.port_in(port, size); }
    void at(Nanoseconds time) { clock.time = time, pc.advance(time); }
    void local(std::uint32_t offset, std::uint32_t value) { pc.memory_write(0xFEE00000 + offset, 4, value); }
    void redirect(unsigned input, std::uint32_t entry) {
        pc.memory_write(0xFEC00000, 4, 0x10 + 2 * input);
        pc.memory_write(0xFEC00010, 4, entry);
    }
};

}  // namespace

TEST_CASE("What firmware leaves", "[device]") {
    Machine m;
    CHECK(m.in(0x21) == 0xFB);
    CHECK(m.in(0xA1) == 0xFF);
    CHECK_FALSE(m.pc.interrupt_waits());
    m.at(kSecond);
    CHECK_FALSE(m.pc.interrupt_waits());
    m.out(0x21, 0xFA);  // the tick of 18.2 Hz at vector 8
    REQUIRE(m.pc.interrupt_waits());
    CHECK(m.pc.acknowledge_interrupt() == 0x08);
    m.out(0x20, 0x20);
    CHECK_FALSE(m.pc.interrupt_waits());
    CHECK(m.in(0xCF8, 4) == 0xFFFFFFFF);
    CHECK(m.in(0xCFC, 4) == 0xFFFFFFFF);
    CHECK(m.in(0x2F8 + 5) == 0xFF);
    CHECK_FALSE(m.pc.is_device_memory(0xFEE00000));
}

TEST_CASE("Interrupt lines: 0 timer, 4 serial, 8 clock, 1 and 12 keyboard controller", "[device]") {
    Machine m;
    m.out(0x21, 0), m.out(0xA1, 0);
    const auto next = [&m] {
        if (!m.pc.interrupt_waits()) return -1;
        const int vector = m.pc.acknowledge_interrupt();
        m.out(0xA0, 0x20), m.out(0x20, 0x20);
        return vector;
    };
    while (next() >= 0) {}
    m.out(0x3FC, 0x08), m.out(0x3F9, 0x01);
    const std::uint8_t key = 'k';
    CHECK(m.pc.push_serial_input({&key, 1}) == 1);
    CHECK(next() == 0x0C);
    CHECK(m.in(0x3F8) == 'k');
    m.out(0x70, 0x0B), m.out(0x71, 0x12);
    m.at(m.pc.next_event());
    while (m.clock.time < kSecond) m.at(m.pc.next_event());
    CHECK(next() == 0x08);
    CHECK(next() == 0x70);
    m.out(0x64, 0xD2), m.out(0x60, 0x11);
    CHECK(next() == 0x09);
    m.in(0x60);
    m.out(0x64, 0x60), m.out(0x60, 0x03);
    m.out(0x64, 0xD3), m.out(0x60, 0x11);
    CHECK(next() == 0x74);
    CHECK(next() == -1);
}

TEST_CASE("A delay by counter 2, as boot code calibrates with it", "[device]") {
    Machine m;
    m.out(0x61, (m.in(0x61) & ~0x02u) | 0x01);
    m.out(0x43, 0xB0);
    m.out(0x42, 0x9B), m.out(0x42, 0x2E);  // 11931: 10 ms
    const Nanoseconds start = m.clock.time;
    while ((m.in(0x61) & 0x20) == 0) m.clock.time += kMicrosecond;
    CHECK(m.clock.time - start >= 9'999 * kMicrosecond);
    CHECK(m.clock.time - start <= 10'002 * kMicrosecond);
}

TEST_CASE("An x87 error comes by line 13, and port F0h takes it back", "[device]") {
    Machine m;
    m.out(0x21, 0xFB), m.out(0xA1, 0xDF);
    CHECK_FALSE(m.pc.interrupt_waits());
    for (int i = 0; i < 2; ++i) {
        m.pc.raise_math_error();
        REQUIRE(m.pc.interrupt_waits());
        CHECK(m.pc.acknowledge_interrupt() == 0x75);
        m.out(0xA0, 0x20), m.out(0x20, 0x20);
        // The line is still high: a second error is not seen before the first has been taken back.
        m.pc.raise_math_error();
        CHECK_FALSE(m.pc.interrupt_waits());
        m.out(0xF0, 0);
        CHECK_FALSE(m.pc.interrupt_waits());
    }
}

TEST_CASE("The first exit request stays", "[device]") {
    Machine m;
    CHECK_FALSE(m.pc.exit_request().has_value());
    m.out(0x604, 0x2000, 2);
    m.out(0x64, 0xFE);
    CHECK(m.pc.exit_request() == ExitRequest{ExitRequest::Kind::power_off, 0});
    Machine debug;
    debug.out(0xF4, 0x10, 4);
    CHECK(debug.pc.exit_request() == ExitRequest{ExitRequest::Kind::debug_exit, 0x21});
    Machine dword;
    dword.out(0xB004, 0x2000, 4);
    CHECK(dword.pc.exit_request()->kind == ExitRequest::Kind::power_off);
}

TEST_CASE("Virtual wire: the 8259s through LINT0", "[device]") {
    Machine m(true);
    CHECK(m.pc.is_device_memory(0xFEE00000));
    CHECK(m.pc.is_device_memory(0xFEC00000));
    m.at(kSecond);
    m.out(0x21, 0xFA);
    REQUIRE(m.pc.interrupt_waits());
    CHECK(m.pc.acknowledge_interrupt() == 0x08);
    m.out(0x20, 0x20);
    m.at(2 * kSecond);
    CHECK(m.pc.interrupt_waits());
    m.local(0x350, 0x10700);
    CHECK_FALSE(m.pc.interrupt_waits());
    m.redirect(0, 0x700);  // ExtINT by the I/O APIC
    CHECK(m.pc.interrupt_waits());
    CHECK(m.pc.acknowledge_interrupt() == 0x08);
}

TEST_CASE("Symmetric mode: lines through the I/O APIC, the timer on input 2", "[device]") {
    Machine m(true);
    m.local(0x350, 0x10700);
    m.redirect(2, 0x30);
    m.redirect(4, 0x34);
    m.at(kSecond);
    REQUIRE(m.pc.interrupt_waits());
    CHECK(m.pc.acknowledge_interrupt() == 0x30);
    m.local(0xB0, 0);
    m.out(0x3FC, 0x08), m.out(0x3F9, 0x02);
    REQUIRE(m.pc.interrupt_waits());
    CHECK(m.pc.acknowledge_interrupt() == 0x34);
    m.local(0xB0, 0);
    m.local(0x3E0, 0x0B), m.local(0x320, 0x40), m.local(0x380, 1000);
    CHECK(m.pc.next_event() == m.clock.time + 1000);
    m.at(m.clock.time + 1000);
    REQUIRE(m.pc.interrupt_waits());
    CHECK(m.pc.acknowledge_interrupt() == 0x40);
}

TEST_CASE("The timer through the 8259 and a fixed vector at LINT0, edge by edge", "[device]") {
    Machine m(true);
    m.local(0x350, 0x38);
    m.out(0x21, 0xFA);
    m.out(0x43, 0x34), m.out(0x40, 0x00), m.out(0x40, 0x10);
    const auto serve = [&m] {
        if (!m.pc.interrupt_waits()) return 0u;
        const unsigned vector = m.pc.acknowledge_interrupt();
        m.local(0xB0, 0);
        return vector;
    };
    while (serve() != 0) {}
    for (int i = 0; i < 3; ++i) {
        m.at(m.pc.next_event());
        CHECK(serve() == 0x38);
        CHECK(serve() == 0);
    }
}

TEST_CASE("Serial output arrives in lines", "[device]") {
    Machine m;
    for (char c : std::string("boot\nlogin: ")) m.out(0x3F8, static_cast<unsigned char>(c));
    CHECK(m.serial == "boot\n");
    m.pc.flush();
    CHECK(m.serial == "boot\nlogin: ");
}
