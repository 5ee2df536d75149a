// SPDX-License-Identifier: Apache-2.0
// The 16550A against National Semiconductor's PC16550D datasheet, tables "Summary of Registers" and "Interrupt Control Functions".
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "device_machine.h"
#include "executor/device/uart.h"

using namespace trapline::executor;

namespace {

struct Machine {
    HandClock clock;
    RecordedLines lines;
    std::vector<std::string> sent;
    Uart uart{clock, lines, 4, [this](std::string_view text) { sent.emplace_back(text); }};
    void out(unsigned reg, unsigned value) { uart.port_out(static_cast<std::uint16_t>(0x3F8 + reg), 1, value); }
    unsigned in(unsigned reg) { return uart.port_in(static_cast<std::uint16_t>(0x3F8 + reg), 1); }
    std::size_t push(std::string_view text) {
        return uart.push_input({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
};

}  // namespace

TEST_CASE("Registers after reset", "[device]") {
    Machine m;
    CHECK(m.in(1) == 0x00);
    CHECK(m.in(2) == 0x01);
    CHECK(m.in(3) == 0x00);
    CHECK(m.in(4) == 0x00);
    CHECK(m.in(5) == 0x60);
    CHECK((m.in(6) & 0x0F) == 0);
    CHECK_FALSE(m.lines.high[4]);
}

TEST_CASE("What a probe looks for", "[device]") {
    Machine m;
    m.out(7, 0xA5);
    CHECK(m.in(7) == 0xA5);
    m.out(7, 0x5A);
    CHECK(m.in(7) == 0x5A);
    m.out(1, 0xFF);
    CHECK(m.in(1) == 0x0F);
    m.out(1, 0);
    m.out(4, 0xFF);
    CHECK(m.in(4) == 0x1F);
    m.out(4, 0x1A);  // loopback: RTS and OUT2 come back as CTS and DCD
    CHECK((m.in(6) & 0xF0) == 0x90);
    m.out(4, 0x15);  // DTR and OUT1 as DSR and RI
    CHECK((m.in(6) & 0xF0) == 0x60);
    m.out(2, 0x01);
    CHECK(m.in(2) >> 6 == 3);  // 16550A: FIFOs work
    m.out(2, 0x00);
    CHECK(m.in(2) >> 6 == 0);
    m.out(3, 0x80);
    m.out(0, 0x34), m.out(1, 0x12);
    CHECK(m.in(0) == 0x34);
    CHECK(m.in(1) == 0x12);
    m.out(3, 0x03);
    CHECK(m.in(1) == 0x00);
    CHECK(m.in(3) == 0x03);
}

TEST_CASE("A line costs the sink one call, and the rest comes after 2 ms", "[device]") {
    Machine m;
    for (char c : std::string("one\r\ntwo")) m.out(0, static_cast<unsigned char>(c));
    CHECK(m.sent == std::vector<std::string>{"one\r\n"});
    REQUIRE(m.uart.next_event() == 2 * kMillisecond);
    m.uart.advance(2 * kMillisecond - 1);
    CHECK(m.sent.size() == 1);
    m.uart.advance(2 * kMillisecond);
    CHECK(m.sent == std::vector<std::string>{"one\r\n", "two"});
    CHECK(m.uart.next_event() == kNever);
    for (int i = 0; i < 2000; ++i) m.out(0, 'x');
    CHECK(m.sent.size() == 5);
    m.push("?");
    CHECK(m.sent.back().size() == 2000 - 3 * 512);
}

TEST_CASE("Received data: trigger level, time-out, and the FIFO", "[device]") {
    Machine m;
    m.out(4, 0x08);
    m.out(2, 0x81);  // FIFO on, trigger at 8
    m.out(1, 0x01);
    CHECK(m.push("abc") == 3);
    CHECK(m.in(2) == 0xCC);  // character time-out
    CHECK(m.lines.high[4]);
    m.push("defgh");
    CHECK(m.in(2) == 0xC4);
    std::string read;
    while ((m.in(5) & 1) != 0) read += static_cast<char>(m.in(0));
    CHECK(read == "abcdefgh");
    CHECK(m.in(2) == 0xC1);
    CHECK_FALSE(m.lines.high[4]);

    CHECK(m.push(std::string(5000, 'z')) == 4096);
    CHECK(m.push("z") == 0);
    m.out(2, 0x83);  // resets what is in the FIFO: 16 bytes
    CHECK(m.push(std::string(100, 'z')) == 16);
    CHECK((m.in(5) & 0x02) == 0);  // nothing is ever overrun
}

TEST_CASE("The transmitter's interrupt comes with its enabling, and goes when it has been read", "[device]") {
    Machine m;
    m.out(4, 0x08);
    m.out(1, 0x02);
    CHECK(m.lines.high[4]);
    CHECK(m.in(2) == 0x02);
    CHECK(m.in(2) == 0x01);
    CHECK_FALSE(m.lines.high[4]);
    m.out(1, 0x00);
    m.out(1, 0x02);
    CHECK(m.in(2) == 0x02);
    m.out(0, 'x');
    CHECK(m.lines.high[4]);
    m.out(4, 0x00);  // without OUT2 nothing reaches the bus
    CHECK_FALSE(m.lines.high[4]);
    CHECK(m.in(2) == 0x02);
}

TEST_CASE("Interrupt priorities: line status, data, transmitter, modem", "[device]") {
    Machine m;
    m.out(1, 0x0F);
    m.uart.push_break();
    m.out(4, 0x10), m.out(4, 0x08);  // the modem lines change to loopback and back
    CHECK(m.in(2) == 0x06);
    CHECK(m.in(5) == 0x79);  // BI, FE, data ready, both empty
    CHECK(m.in(2) == 0x04);
    CHECK(m.in(5) == 0x61);
    CHECK(m.in(0) == 0x00);
    CHECK(m.in(2) == 0x02);
    CHECK(m.in(2) == 0x00);
    CHECK((m.in(6) & 0x0F) == 0x0B);  // DCTS, DDSR, DDCD: all three fell or rose
    CHECK(m.in(2) == 0x01);
}

TEST_CASE("The trailing edge of RI is a change, the leading one is not", "[device]") {
    Machine m;
    m.out(4, 0x10);
    m.in(6);
    m.out(4, 0x14);
    CHECK(m.in(6) == 0x40);
    m.out(4, 0x10);
    CHECK(m.in(6) == 0x04);
}

TEST_CASE("Loopback carries data, overruns a full receiver, and sends nothing", "[device]") {
    Machine m;
    m.out(4, 0x18);
    m.out(0, 'a');
    CHECK(m.in(5) == 0x61);
    m.out(0, 'b');
    CHECK(m.in(5) == 0x63);
    CHECK(m.in(5) == 0x61);
    CHECK(m.in(0) == 'b');  // without FIFO the later one takes the place
    m.out(2, 0x01);
    for (char c = 'A'; c <= 'Q'; ++c) m.out(0, static_cast<unsigned char>(c));
    CHECK((m.in(5) & 2) != 0);
    std::string read;
    while ((m.in(5) & 1) != 0) read += static_cast<char>(m.in(0));
    CHECK(read == "ABCDEFGHIJKLMNOP");
    CHECK(m.push("x") == 0);
    m.uart.flush();
    CHECK(m.sent.empty());
}
