// SPDX-License-Identifier: Apache-2.0
// The keyboard controller against IBM's PS/2 Hardware Interface Technical Reference, and the ports that reset and switch off.
#include <catch2/catch.hpp>

#include <vector>

#include "device_machine.h"
#include "executor/device/debug_exit.h"
#include "executor/device/i8042.h"
#include "executor/device/power.h"

using namespace trapline::executor;
using Kind = ExitRequest::Kind;

namespace {

struct Machine {
    RecordedLines lines;
    std::vector<ExitRequest> asked;
    ExitSink sink = [this](const ExitRequest& request) { asked.push_back(request); };
    I8042 keyboard{lines, sink};
    PowerControl power{keyboard, sink};
    void command(unsigned value) { keyboard.port_out(0x64, 1, value); }
    void data(unsigned value) { keyboard.port_out(0x60, 1, value); }
    unsigned status() { return keyboard.port_in(0x64, 1); }
    unsigned read() { return keyboard.port_in(0x60, 1); }
};

}  // namespace

TEST_CASE("The controller answers for itself", "[device]") {
    Machine m;
    CHECK((m.status() & 0x03) == 0);
    m.command(0xAA);
    CHECK((m.status() & 0x0D) == 0x0D);  // full, system flag, a command came last
    CHECK(m.read() == 0x55);
    CHECK((m.status() & 0x01) == 0);
    m.command(0xAB);
    CHECK(m.read() == 0x00);
    m.command(0x60), m.data(0x47);
    m.command(0x20);
    CHECK(m.read() == 0x47);
    m.command(0xA7), m.command(0xAD), m.command(0x20);
    CHECK(m.read() == 0x77);
    m.command(0xA8), m.command(0xAE), m.command(0x20);
    CHECK(m.read() == 0x47);
    m.command(0x7F), m.data(0x99);
    m.command(0x3F);
    CHECK(m.read() == 0x99);
}

TEST_CASE("Nothing is plugged in, and drivers hear so at once", "[device]") {
    Machine m;
    m.command(0x60), m.data(0x47);  // both interrupts
    m.data(0xFF);                   // reset the keyboard
    CHECK((m.status() & 0x61) == 0x41);  // time-out, from the keyboard's side
    CHECK(m.lines.high[1]);
    CHECK(m.read() == 0xFE);
    CHECK_FALSE(m.lines.high[1]);
    CHECK((m.status() & 0x41) == 0);
    m.command(0xD4), m.data(0xF2);
    CHECK((m.status() & 0x61) == 0x61);
    CHECK(m.lines.high[12]);
    CHECK(m.read() == 0xFE);
    m.command(0xD3), m.data(0x5A);  // loop back as if from the mouse
    CHECK((m.status() & 0x61) == 0x21);
    CHECK(m.lines.high[12]);
    CHECK(m.read() == 0x5A);
    m.command(0xD2), m.data(0xA5);
    CHECK(m.lines.high[1]);
    CHECK(m.read() == 0xA5);
}

TEST_CASE("A20 and reset by the output port and port 92h", "[device]") {
    Machine m;
    CHECK(m.keyboard.a20());
    m.command(0xD1), m.data(0xDD);
    CHECK_FALSE(m.keyboard.a20());
    CHECK(m.power.port_in(0x92, 1) == 0x00);
    m.power.port_out(0x92, 1, 0x02);
    CHECK(m.keyboard.a20());
    m.command(0xD0);
    CHECK((m.read() & 0x03) == 0x03);
    CHECK(m.asked.empty());
    m.command(0xFF);
    CHECK(m.asked.empty());  // no bit to pulse
    m.command(0xFE);
    CHECK(m.asked == std::vector<ExitRequest>{{Kind::reset, 0}});
    m.asked.clear();
    m.command(0xD1), m.data(0x02);
    CHECK(m.asked.size() == 1);
    m.power.port_out(0x92, 1, 0x03);
    m.power.port_out(0x92, 1, 0x03);  // a rise, once
    CHECK(m.asked.size() == 2);
}

TEST_CASE("The chipset's reset and power-off", "[device]") {
    Machine m;
    m.power.port_out(0xCF8, 4, 0x80000400);  // a PCI address, not port CF9h
    m.power.port_out(0xCF8, 2, 0x0600);
    CHECK(m.power.port_in(0xCF8, 4) == 0xFFFFFFFF);
    m.power.port_out(0xCF9, 1, 0x02);
    CHECK(m.asked.empty());
    m.power.port_out(0xCF9, 1, 0x06);
    CHECK(m.asked == std::vector<ExitRequest>{{Kind::reset, 0}});
    for (const std::uint16_t port : {0x604, 0xB004}) {
        m.asked.clear();
        m.power.port_out(port, 2, 0x0001);
        m.power.port_out(port, 2, 0x3400);  // another sleep state
        CHECK(m.asked.empty());
        m.power.port_out(port, 2, 0x2000);
        CHECK(m.asked == std::vector<ExitRequest>{{Kind::power_off, 0}});
        CHECK((m.power.port_in(port, 2) & 0x2000) == 0);
        m.asked.clear();
        m.power.port_out(static_cast<std::uint16_t>(port + 1), 1, 0x20);
        CHECK(m.asked.size() == 1);
    }
}

TEST_CASE("Debug exit says 2n + 1", "[device]") {
    std::vector<ExitRequest> asked;
    DebugExit device([&](const ExitRequest& request) { asked.push_back(request); });
    device.port_out(0xF4, 1, 0);
    device.port_out(0xF4, 4, 0x12345678);
    CHECK(asked == std::vector<ExitRequest>{{Kind::debug_exit, 1}, {Kind::debug_exit, 0x2468ACF1}});
    CHECK(device.port_in(0xF4, 4) == 0);
}
