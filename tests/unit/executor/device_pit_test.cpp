// SPDX-License-Identifier: Apache-2.0
// The 8254 against Intel's datasheet (231244, "82C54 CHMOS Programmable Interval Timer"): the counts and edges of its mode
// diagrams, one clock period at a time.
#include <catch2/catch.hpp>

#include <string>

#include "executor/device/pit.h"
#include "device_machine.h"

using namespace trapline::executor;

namespace {

struct Machine {
    HandClock clock;
    RecordedLines lines;
    Pit pit{clock, lines};
    PitTicks tick = 1000;
    Machine() { at(tick); }
    void at(PitTicks to) { tick = to, clock.time = pit_time_of(to), pit.advance(clock.time); }
    void out(std::uint16_t port, unsigned value) { pit.port_out(port, 1, value); }
    unsigned in(std::uint16_t port) { return pit.port_in(port, 1); }
    void count(unsigned channel, unsigned value) {
        out(static_cast<std::uint16_t>(0x40 + channel), value & 0xFF);
        out(static_cast<std::uint16_t>(0x40 + channel), value >> 8);
    }
    unsigned latched(unsigned channel) {
        out(0x43, channel << 6);
        const unsigned low = in(static_cast<std::uint16_t>(0x40 + channel));
        return low | in(static_cast<std::uint16_t>(0x40 + channel)) << 8;
    }
    bool out2() { return (in(0x61) & 0x20) != 0; }
    /// OUT2 from now on, one character for each clock period.
    std::string wave(unsigned periods) {
        std::string drawn;
        for (unsigned i = 0; i < periods; ++i, at(tick + 1)) drawn += out2() ? '-' : '_';
        return drawn;
    }
};

}  // namespace

TEST_CASE("The clock is 105/88 MHz", "[device]") {
    CHECK(pit_ticks_at(88'000'000) == 105'000);
    CHECK(pit_ticks_at(kSecond) == 1193181);
    CHECK(pit_ticks_at(3600 * kSecond) == 4295454545);
    for (PitTicks tick : {PitTicks{1}, PitTicks{20}, PitTicks{21}, PitTicks{1193182}, PitTicks{4295454546}}) {
        CHECK(pit_ticks_at(pit_time_of(tick)) == tick);
        CHECK(pit_ticks_at(pit_time_of(tick) - 1) == tick - 1);
    }
}

TEST_CASE("Mode 0 raises OUT N + 1 periods after the count is written", "[device]") {
    Machine m;
    m.out(0x61, 1);
    m.out(0x43, 0x90);  // counter 2, low byte, mode 0
    m.out(0x42, 4);
    CHECK(m.wave(8) == "_____---");
    m.out(0x43, 0x90);
    CHECK_FALSE(m.out2());

    SECTION("the gate holds the count, OUT stays") {
        m.out(0x42, 4);
        m.at(m.tick + 3);  // 4 was loaded a period after the write: 2 left
        m.out(0x61, 0);
        m.at(m.tick + 100);
        CHECK(m.in(0x42) == 2);
        CHECK_FALSE(m.out2());
        m.out(0x61, 1);
        CHECK(m.wave(4) == "__--");
    }
    SECTION("the first of two bytes stops counting") {
        m.out(0x43, 0xB0);
        m.count(2, 3);
        CHECK(m.wave(5) == "____-");
        m.out(0x42, 3);
        CHECK(m.wave(10) == "__________");
        m.out(0x42, 0);
        CHECK(m.wave(5) == "____-");
    }
    SECTION("it counts on through zero") {
        m.out(0x43, 0xB0);
        m.count(2, 3);
        m.at(m.tick + 1 + 5);
        CHECK(m.latched(2) == 0xFFFE);
    }
}

TEST_CASE("Mode 1 is a one-shot that the gate starts, again and again", "[device]") {
    Machine m;
    m.out(0x43, 0x92);
    m.out(0x42, 3);
    CHECK(m.wave(6) == "------");
    m.out(0x61, 1);
    m.at(m.tick + 1);
    CHECK(m.wave(5) == "___--");
    m.out(0x61, 0);
    m.out(0x61, 1);
    m.at(m.tick + 2);
    m.out(0x61, 0);
    m.out(0x61, 1);  // retriggered: three more periods
    m.at(m.tick + 1);
    CHECK(m.wave(5) == "___--");
    m.out(0x42, 2);  // only the next trigger loads it
    m.out(0x61, 0);
    CHECK(m.wave(3) == "---");
    m.out(0x61, 1);
    m.at(m.tick + 1);
    CHECK(m.wave(4) == "__--");
}

TEST_CASE("Mode 2 is low for one period of N", "[device]") {
    Machine m;
    m.out(0x61, 1);
    m.out(0x43, 0x94);
    m.out(0x42, 3);
    m.at(m.tick + 1);
    CHECK(m.wave(9) == "--_--_--_");
    CHECK(m.latched(2) == 0x0303);  // one byte at a time: twice the low one
    SECTION("a new count waits for the end of the period") {
        m.at(m.tick + 1);
        m.out(0x42, 5);
        CHECK(m.wave(12) == "-_----_----_");
    }
    SECTION("the gate ends the low part and starts anew") {
        m.at(m.tick + 2);
        CHECK_FALSE(m.out2());
        m.out(0x61, 0);
        CHECK(m.wave(5) == "-----");
        m.out(0x61, 1);
        m.at(m.tick + 1);
        CHECK(m.wave(6) == "--_--_");
    }
}

TEST_CASE("Mode 3 is a square wave, odd counts one longer high", "[device]") {
    Machine m;
    m.out(0x61, 1);
    m.out(0x43, 0x96);
    m.out(0x42, 4);
    m.at(m.tick + 1);
    CHECK(m.wave(12) == "--__--__--__");
    SECTION("counts by two") {
        std::string counts;
        for (int i = 0; i < 8; ++i, m.at(m.tick + 1)) counts += std::to_string(m.in(0x42));
        CHECK(counts == "42424242");
    }
    SECTION("odd") {
        m.out(0x43, 0x96);
        m.out(0x42, 5);
        m.at(m.tick + 1);
        CHECK(m.wave(10) == "---__---__");
        std::string counts;
        for (int i = 0; i < 10; ++i, m.at(m.tick + 1)) counts += std::to_string(m.in(0x42));
        CHECK(counts == "4204242042");
    }
    SECTION("a new count waits for the end of the half") {
        m.out(0x42, 8);
        CHECK(m.wave(14) == "--____----____");
    }
}

TEST_CASE("Modes 4 and 5 strobe once", "[device]") {
    Machine m;
    m.out(0x61, 1);
    m.out(0x43, 0x98);
    m.out(0x42, 3);
    CHECK(m.wave(9) == "----_----");
    m.out(0x61, 0);
    m.out(0x43, 0x9A);
    m.out(0x42, 3);
    CHECK(m.wave(6) == "------");
    m.out(0x61, 1);
    CHECK(m.wave(9) == "----_----");
}

TEST_CASE("Binary-coded counts", "[device]") {
    Machine m;
    m.out(0x61, 1);
    m.out(0x43, 0xB1);
    m.count(2, 0x0100);
    m.at(m.tick + 2);
    CHECK(m.latched(2) == 0x0099);
    m.at(m.tick + 100);
    CHECK(m.latched(2) == 0x9999);
    m.count(2, 0);  // 10,000
    m.at(m.tick + 2);
    CHECK(m.latched(2) == 0x9999);
}

TEST_CASE("Latches hold until they are read", "[device]") {
    Machine m;
    m.out(0x61, 1);
    m.out(0x43, 0xB0);
    m.count(2, 1000);
    m.at(m.tick + 1 + 100);
    m.out(0x43, 0x80);
    m.at(m.tick + 50);
    m.out(0x43, 0x80);  // ignored: the first is not read
    CHECK((m.in(0x42) | m.in(0x42) << 8) == 900);
    CHECK((m.in(0x42) | m.in(0x42) << 8) == 850);
    m.out(0x43, 0xC8);  // read-back: count and status of counter 2, the status comes first
    m.at(m.tick + 10);
    CHECK(m.in(0x42) == 0x30);
    CHECK((m.in(0x42) | m.in(0x42) << 8) == 850);
    m.at(m.tick + 1000);
    m.out(0x43, 0xE8);  // status alone: OUT is high
    CHECK(m.in(0x42) == 0xB0);
    m.out(0x43, 0xB6);
    m.out(0x43, 0xE8);
    CHECK(m.in(0x42) == 0xF6);  // null count: nothing loaded yet
}

TEST_CASE("Counter 0 interrupts; late interrupts come once", "[device]") {
    Machine m;
    m.out(0x43, 0x34);
    m.count(0, 11932);
    const PitTicks start = m.tick + 1;
    CHECK(m.lines.rises[0] == 1);  // OUT was low in mode 0, and goes high with the control word
    CHECK(m.pit.next_event() == pit_time_of(start + 11932));
    m.at(start + 11931);
    CHECK(m.lines.rises[0] == 1);
    m.at(start + 11932);
    CHECK(m.lines.rises[0] == 2);
    m.at(start + 10 * 11932 + 5);
    CHECK(m.lines.rises[0] == 3);
    CHECK(m.pit.next_event() == pit_time_of(start + 11 * 11932));

    m.out(0x43, 0x30);
    CHECK_FALSE(m.lines.high[0]);
    CHECK(m.pit.next_event() == kNever);
    m.count(0, 100);
    CHECK(m.pit.next_event() == pit_time_of(m.tick + 101));
    m.at(m.tick + 101);
    CHECK(m.lines.rises[0] == 4);
    CHECK(m.pit.next_event() == kNever);

    m.out(0x43, 0x38);  // mode 4, as one-shot clock events use it
    m.count(0, 100);
    const unsigned before = m.lines.rises[0];
    m.at(m.tick + 101);
    CHECK(m.lines.rises[0] == before);
    m.at(m.tick + 1);
    CHECK(m.lines.rises[0] == before + 1);
}

TEST_CASE("An interrupt that is due comes before the write that would take it away", "[device]") {
    Machine m;
    m.out(0x43, 0x34);
    m.count(0, 100);
    m.clock.time = pit_time_of(m.tick + 150);
    const unsigned before = m.lines.rises[0];
    m.out(0x43, 0x30);
    CHECK(m.lines.rises[0] == before + 1);
}

TEST_CASE("The refresh toggle changes every 15 us", "[device]") {
    Machine m;
    unsigned changes = 0;
    bool last = (m.in(0x61) & 0x10) != 0;
    const Nanoseconds start = m.clock.time;
    for (; m.clock.time < start + kMillisecond; m.clock.time += kMicrosecond) {
        const bool now = (m.in(0x61) & 0x10) != 0;
        changes += now != last;
        last = now;
    }
    CHECK(changes >= 65);  // 1 ms / 15.085 us = 66.3
    CHECK(changes <= 67);
    m.out(0x61, 0xFF);
    CHECK((m.in(0x61) & 0xCF) == 0x0F);
}
